"""BR Codes: the text of Pix QR codes ("copia e cola"), made and read.

EMV QRCPS merchant-presented mode: fields of two digits of id, two of length and the value, closed by a CRC16
over everything before it. A static code holds the key, a dynamic one the address of a charge (Bacen, Manual
de Padrões para Iniciação do Pix, section 1.6). Lengths count characters, the checksum counts UTF-8 bytes.
Unknown fields are ignored when read; what must be there and is not, comes twice or contradicts Pix is
refused.
"""

import binascii
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from apps.pix import keys
from apps.pix.keys import BadKey, KeyCode

CodeProblem = (
    KeyCode
    | Literal[
        "code_too_long",
        "code_form",
        "field_doubled",
        "field_missing",
        "checksum_missing",
        "checksum_wrong",
        "not_pix",
        "other_version",
        "other_currency",
        "other_country",
        "amount_form",
        "amount_zero",
        "name_form",
        "city_form",
        "txid_form",
        "url_form",
        "description_form",
        "key_and_url",
        "key_nor_url",
    ]
)

GUI = "br.gov.bcb.pix"
MAX_CHARACTERS = 512
MAX_NAME = 25
MAX_CITY = 15
MAX_TXID = 25
MAX_URL = 77
MAX_FIELD = 99
NO_TXID = "***"
ONCE = "12"
"""Point of initiation of a code that is paid once. A static one says `11` or nothing."""

_ACCOUNTS = tuple(f"{number:02d}" for number in range(26, 52))
"""Where a payment network may put its account information; Pix is found by its GUI."""
_AMOUNT = re.compile(r"[0-9]{1,10}\.[0-9]{2}")
_TXID = re.compile(r"[a-zA-Z0-9]{1,25}")
_URL = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?/[A-Za-z0-9._~/%@=&?+-]+")


class BadCode(ValueError):  # noqa: N818
    """No Pix code that can be paid. `code` is stable."""

    def __init__(self, code: CodeProblem, message: str) -> None:
        super().__init__(message)
        self.code: CodeProblem = code


@dataclass(frozen=True)
class StaticCode:
    """A code that anybody may pay any number of times. `key` is as the DICT stores it."""

    key: str
    name: str
    city: str
    amount_cents: int | None = None
    txid: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class DynamicCode:
    """A code that points to a charge, by an address without scheme. What else it says is decoration."""

    url: str
    name: str
    city: str
    amount_cents: int | None = None


Code = StaticCode | DynamicCode


def encode(code: Code) -> str:
    """The code's text. Raises `BadCode` for values that it cannot carry."""
    if isinstance(code, StaticCode):
        once, txid = "", code.txid if code.txid is not None else NO_TXID
        account = _field("01", _key(code.key)) + _field("02", _description(code.description))
    else:
        once, txid = _field("01", ONCE), NO_TXID
        account = _field("25", _url(code.url))
    if code.amount_cents is not None and not 0 < code.amount_cents < 10**12:
        raise BadCode("amount_zero" if code.amount_cents <= 0 else "amount_form", "cannot carry this amount")
    amount = f"{code.amount_cents // 100}.{code.amount_cents % 100:02d}" if code.amount_cents else ""
    body = "".join(
        (
            _field("00", "01"),
            once,
            _field("26", _field("00", GUI) + account),
            _field("52", "0000"),
            _field("53", "986"),
            _field("54", amount),
            _field("58", "BR"),
            _field("59", _text("name_form", code.name, MAX_NAME)),
            _field("60", _text("city_form", code.city, MAX_CITY)),
            _field("62", _field("05", txid if txid == NO_TXID else _txid(txid))),
            "6304",
        )
    )
    return body + checksum(body)


def decode(text: str) -> Code:
    """What a code says. Raises `BadCode`."""
    given = text.strip(" \t\r\n")
    if len(given) > MAX_CHARACTERS:
        raise BadCode("code_too_long", f"has more than {MAX_CHARACTERS} characters")
    fields = _checked_fields(given)
    account = _pix_account(fields)
    for field, expected, problem in (("53", "986", "other_currency"), ("58", "BR", "other_country")):
        if _required(fields, field) != expected:
            raise BadCode(_narrow(problem), f"field {field} must be {expected}")
    name = _text("name_form", _required(fields, "59"), MAX_NAME)
    city = _text("city_form", _required(fields, "60"), MAX_CITY)
    amount_cents = _amount(fields["54"]) if "54" in fields else None
    if "01" in account and "25" in account:
        raise BadCode("key_and_url", "names both a key and a charge")
    if "25" in account:
        return DynamicCode(_url(account["25"]), name, city, amount_cents)
    if "01" not in account:
        raise BadCode("key_nor_url", "names neither a key nor a charge")
    more = _fields(fields["62"]) if "62" in fields else {}
    txid = more.get("05", NO_TXID)
    return StaticCode(
        key=_key(account["01"]),
        name=name,
        city=city,
        amount_cents=amount_cents,
        txid=None if txid == NO_TXID else _txid(txid),
        description=_description(account.get("02")) or None,
    )


def plain(text: str, most: int) -> str:
    """The text as a code can carry it: accents dropped, other alphabets' letters too, cut at `most`."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join("".join(each if each.isprintable() else " " for each in folded).split())[:most].strip()


def checksum(text: str) -> str:
    """CRC16-CCITT (polynomial 1021, start FFFF) of the text's UTF-8 bytes, four hexadecimal digits.

    >>> checksum("123456789")
    '29B1'
    """
    return f"{binascii.crc_hqx(text.encode(), 0xFFFF):04X}"


def _checked_fields(given: str) -> dict[str, str]:
    if given[-8:-4] != "6304":
        raise BadCode("checksum_missing", "does not end with its checksum")
    try:
        expected = checksum(given[:-4])
    except UnicodeEncodeError:
        raise BadCode("code_form", "is no text") from None
    if given[-4:].upper() != expected:
        raise BadCode("checksum_wrong", "was changed or is incomplete: its checksum does not fit")
    fields = _fields(given)
    if _required(fields, "00") != "01":
        raise BadCode("other_version", "is of a version that nobody here knows")
    return fields


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    at = 0
    while at < len(text):
        head = text[at : at + 4]
        if not (len(head) == 4 and head.isascii() and head.isdigit()):
            raise BadCode("code_form", "is not made of fields")
        end = at + 4 + int(head[2:])
        if end > len(text):
            raise BadCode("code_form", f"field {head[:2]} is longer than what is there")
        if head[:2] in fields:
            raise BadCode("field_doubled", f"has field {head[:2]} twice")
        fields[head[:2]] = text[at + 4 : end]
        at = end
    return fields


def _pix_account(fields: Mapping[str, str]) -> dict[str, str]:
    found = [account for account in _accounts(fields) if account.get("00", "").lower() == GUI]
    if not found:
        raise BadCode("not_pix", "is no Pix code")
    if len(found) > 1:
        raise BadCode("field_doubled", "names two Pix accounts")
    return found[0]


def _accounts(fields: Mapping[str, str]) -> Iterable[dict[str, str]]:
    for field in _ACCOUNTS:
        if field in fields:
            try:
                yield _fields(fields[field])
            except BadCode:
                # Another network's account may be built otherwise; Pix's is looked for by its name.
                if GUI in fields[field].lower():
                    raise


def _required(fields: Mapping[str, str], field: str) -> str:
    if field not in fields:
        raise BadCode("field_missing", f"has no field {field}")
    return fields[field]


def _narrow(problem: str) -> Literal["other_currency", "other_country"]:
    return "other_currency" if problem == "other_currency" else "other_country"


def _amount(text: str) -> int:
    if not _AMOUNT.fullmatch(text):
        raise BadCode("amount_form", "has an amount that is not reais with two decimals")
    cents = int(text.replace(".", ""))
    if cents == 0:
        raise BadCode("amount_zero", "asks for nothing")
    return cents


def _key(text: str) -> str:
    try:
        return keys.classify(text).value
    except BadKey as bad:
        raise BadCode(bad.code, f"the key {bad}") from bad


def _url(text: str) -> str:
    if len(text) > MAX_URL or not _URL.fullmatch(text) or ".." in text:
        raise BadCode("url_form", "does not name a charge's address: host and path, without https://")
    return text


def _txid(text: str) -> str:
    if not _TXID.fullmatch(text):
        raise BadCode("txid_form", f"must have an identifier of at most {MAX_TXID} letters and digits")
    return text


def _text(problem: Literal["name_form", "city_form"], text: str, most: int) -> str:
    if not 0 < len(text) <= most or not text.isprintable() or not text.strip():
        raise BadCode(problem, f"must be 1 to {most} printable characters")
    return text


def _description(text: str | None) -> str:
    if text is not None and not (text.isprintable() and 0 < len(text) <= MAX_FIELD):
        raise BadCode("description_form", "must be printable text")
    return text or ""


def _field(number: str, value: str) -> str:
    """One field; nothing for an empty value. Raises `BadCode` when its length cannot be written."""
    if not value:
        return ""
    if len(value) > MAX_FIELD:
        raise BadCode("description_form", f"field {number} would have more than {MAX_FIELD} characters")
    return f"{number}{len(value):02d}{value}"
