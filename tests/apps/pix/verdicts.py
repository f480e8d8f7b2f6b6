"""Keys, documents, codes and ids as people and other banks write them, and what each one is.

A verdict is what a rule answers: the form that is stored, or the code of the refusal.
"""

from apps.pix import br_code
from apps.pix.keys import KeyType

KEYS: list[tuple[str, str]] = [
    ("52998224725", "CPF 52998224725"),
    ("529.982.247-25", "CPF 52998224725"),
    (" 529.982.247-25\n", "CPF 52998224725"),
    ("00000000191", "CPF 00000000191"),
    ("11987654321", "tax_id_check_digits"),
    ("52998224726", "tax_id_check_digits"),
    ("11122233300", "tax_id_check_digits"),
    ("43908445778", "tax_id_check_digits"),
    ("11111111111", "tax_id_repeated"),
    ("5299822472", "key_form"),
    ("529982247250", "key_form"),
    ("11222333000181", "CNPJ 11222333000181"),
    ("11.222.333/0001-81", "CNPJ 11222333000181"),
    ("00.000.000/0001-91", "CNPJ 00000000000191"),
    ("12ABC34501DE35", "CNPJ 12ABC34501DE35"),
    ("12.abc.345/01de-35", "CNPJ 12ABC34501DE35"),
    ("ABCDEFGHIJKL80", "CNPJ ABCDEFGHIJKL80"),
    ("11222333000150", "tax_id_check_digits"),
    ("12ABC34501DE53", "tax_id_check_digits"),
    ("12ABC34501DE3A", "key_form"),
    ("00000000000000", "tax_id_repeated"),
    ("+5511987654321", "PHONE +5511987654321"),
    ("+55 (11) 98765-4321", "PHONE +5511987654321"),
    ("(11) 98765-4321", "PHONE +5511987654321"),
    ("(11) 3333-4444", "PHONE +551133334444"),
    ("+14155550100", "PHONE +14155550100"),
    ("+12", "PHONE +12"),
    ("+123456789012345", "PHONE +123456789012345"),
    ("+1234567890123456", "phone_form"),
    ("+1", "phone_form"),
    ("+0511987654321", "phone_form"),
    ("+55119A7654321", "phone_form"),
    ("+55+11987654321", "phone_form"),
    ("(11) 8765-432", "phone_not_brazilian"),
    ("(011) 98765-43210", "phone_not_brazilian"),
    ("pix@bcb.gov.br", "EMAIL pix@bcb.gov.br"),
    ("PIX@BCB.gov.br", "EMAIL pix@bcb.gov.br"),
    ("ana+conta_1@exemplo.com.br", "EMAIL ana+conta_1@exemplo.com.br"),
    ("ana@localhost", "EMAIL ana@localhost"),
    ("a" * 66 + "@bank.com.b", "EMAIL " + "a" * 66 + "@bank.com.b"),
    ("a" * 67 + "@bank.com.b", "key_too_long"),
    ("ana&beto@exemplo.com", "email_form"),
    ("ana%beto@exemplo.com", "email_form"),
    ("@exemplo.com", "email_form"),
    ("ana@", "email_form"),
    ("ana@-exemplo.com", "email_form"),
    ("ana@exemplo..com", "email_form"),
    ("ana@beto@exemplo.com", "email_form"),
    ("ana silva@exemplo.com", "email_form"),
    ("josé@exemplo.com", "key_form"),
    ("\u212aarl@exemplo.com", "key_form"),
    ("\uff15\uff1298224725", "key_form"),
    ("529.982.247-25\x00", "key_form"),
    ("123e4567-e89b-12d3-a456-426655440000", "EVP 123e4567-e89b-12d3-a456-426655440000"),
    ("123E4567-E89B-12D3-A456-426655440000", "EVP 123e4567-e89b-12d3-a456-426655440000"),
    ("00000000-0000-0000-0000-000000000000", "EVP 00000000-0000-0000-0000-000000000000"),
    ("123e4567-e89b-12d3-a456-42665544000g", "evp_form"),
    ("123e4567e89b12d3a456426655440000", "key_form"),
    ("", "key_empty"),
    (" \t", "key_empty"),
    ("Ana Souza", "key_form"),
]

NAMED: list[tuple[KeyType, str, str]] = [
    ("PHONE", "11987654321", "PHONE +5511987654321"),
    ("PHONE", "11 98765-4321", "PHONE +5511987654321"),
    ("PHONE", "+5511987654321", "PHONE +5511987654321"),
    ("PHONE", "5511987654321", "phone_not_brazilian"),
    ("PHONE", "ana@exemplo.com", "key_other_type"),
    ("CPF", "529.982.247-25", "CPF 52998224725"),
    ("CPF", "11.222.333/0001-81", "key_other_type"),
    ("CNPJ", "52998224725", "key_other_type"),
    ("EMAIL", "PIX@bcb.gov.br", "EMAIL pix@bcb.gov.br"),
    ("EMAIL", "+5511987654321", "key_other_type"),
]

IDS: list[tuple[str, str, str]] = [
    ("E", "E9999901020261125123412345678900", "99999010 2026-11-25T12:34"),
    ("E", "E12ABC34520261231235900000000000", "12ABC345 2026-12-31T23:59"),
    ("D", "D9999901020261125123412345678900", "99999010 2026-11-25T12:34"),
    ("E", "E99999010202611251234aBcDeFgHiJk", "99999010 2026-11-25T12:34"),
    ("E", "D9999901020261125123412345678900", "id_prefix"),
    ("D", "E9999901020261125123412345678900", "id_prefix"),
    ("E", "e9999901020261125123412345678900", "id_prefix"),
    ("E", "E999990102026112512341234567890", "id_length"),
    ("E", "E99999010202611251234123456789000", "id_length"),
    ("E", "E9999901a20261125123412345678900", "id_ispb"),
    ("E", "E9999901012341234123412345678900", "id_time"),
    ("E", "E9999901020260230123412345678900", "id_time"),
    ("E", "E9999901020261125243412345678900", "id_time"),
    ("E", "E9999901020261125126012345678900", "id_time"),
    ("E", "E99999010\uff12026112512341234567890" + "0", "id_time"),
    ("E", "E99999010202611251234123456789_0", "id_tail"),
    ("E", "", "id_length"),
]


def closed(body: str) -> str:
    """A code with the checksum that fits it."""
    return f"{body}6304{br_code.checksum(body + '6304')}"


_EVP = "123e4567-e12b-12d1-a456-426655440000"
HEAD = f"00020126580014br.gov.bcb.pix0136{_EVP}"
TAIL = "5802BR5913Fulano de Tal6008BRASILIA"
OFFICIAL = f"{HEAD}5204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***63041D3D"
"""The example of Bacen's manual, with its checksum."""
MONEY = "520400005303986"
_CHARGE = "26450014br.gov.bcb.pix2523pix.exemplo.com/v2/8b3d"

CODES: list[tuple[str, str]] = [
    (OFFICIAL, f"static {_EVP}"),
    (OFFICIAL.replace("1D3D", "1d3d"), f"static {_EVP}"),
    (f"  {OFFICIAL}\n", f"static {_EVP}"),
    (closed(f"{HEAD}{MONEY}540512.34{TAIL}"), f"static {_EVP} 1234"),
    (closed(f"{HEAD}{MONEY}{TAIL}62100506abc123"), f"static {_EVP} abc123"),
    (closed(f"000201{HEAD[6:].replace('br.gov', 'BR.GOV')}{MONEY}{TAIL}"), f"static {_EVP}"),
    (closed(f"{HEAD}{MONEY}{TAIL}80080004xxxx"), f"static {_EVP}"),
    (
        closed(f"00020126360014br.gov.bcb.pix0114+5511987654321{MONEY}{TAIL}"),
        "static +5511987654321",
    ),
    (closed(f"00020126330014br.gov.bcb.pix011152998224725{MONEY}{TAIL}"), "static 52998224725"),
    (closed(f"000201010212{_CHARGE}{MONEY}{TAIL}62070503***"), "dynamic pix.exemplo.com/v2/8b3d"),
    (OFFICIAL.replace("Fulano", "Beltra"), "checksum_wrong"),
    (OFFICIAL.replace("1D3D", "1D3E"), "checksum_wrong"),
    (OFFICIAL[:-1], "checksum_missing"),
    (OFFICIAL[:-8], "checksum_missing"),
    ("", "checksum_missing"),
    ("x" * 513, "code_too_long"),
    (closed("abc"), "code_form"),
    (closed(f"{HEAD}{MONEY}5999Fulano"), "code_form"),
    (closed(f"{HEAD}{MONEY}{MONEY}{TAIL}"), "field_doubled"),
    (closed(f"{HEAD}27{HEAD[8:]}{MONEY}{TAIL}"), "field_doubled"),
    (closed(f"{HEAD}{MONEY}5802BR6008BRASILIA"), "field_missing"),
    (closed(f"{HEAD}{TAIL}"), "field_missing"),
    (closed(f"000202{HEAD[6:]}{MONEY}{TAIL}"), "other_version"),
    (closed(f"00020126080005visa{MONEY}{TAIL}"), "not_pix"),
    (closed(f"00020126080004visa{MONEY}{TAIL}"), "not_pix"),
    (closed(f"{HEAD}52040000530384058{TAIL[2:]}"), "other_currency"),
    (closed(f"{HEAD}{MONEY}{TAIL.replace('BR59', 'US59')}"), "other_country"),
    (closed(f"{HEAD}{MONEY}540510,00{TAIL}"), "amount_form"),
    (closed(f"{HEAD}{MONEY}540210{TAIL}"), "amount_form"),
    (closed(f"{HEAD}{MONEY}54040.00{TAIL}"), "amount_zero"),
    (closed(f"{HEAD}{MONEY}{TAIL}62080504a_-1"), "txid_form"),
    (closed(f"00020126330014br.gov.bcb.pix011152998224726{MONEY}{TAIL}"), "tax_id_check_digits"),
    (closed(f"00020126180014br.gov.bcb.pix{MONEY}{TAIL}"), "key_nor_url"),
    (
        closed(f"00020126600014br.gov.bcb.pix0111529982247252523pix.exemplo.com/v2/8b3d{MONEY}{TAIL}"),
        "key_and_url",
    ),
    (closed(f"00020126460014br.gov.bcb.pix2524http://exemplo.com/v2/8b{MONEY}{TAIL}"), "url_form"),
]
