"""The names of Pix participants that customers meet most, by ISPB (Bacen's list of participants).

An ISPB is text: its zeros at the front matter, and since 2026 it can have letters.
"""

from collections.abc import Mapping

OUR_NAME = "GO Banking"

NAMES: Mapping[str, str] = {
    "00000000": "Banco do Brasil",
    "90400888": "Santander",
    "00416968": "Inter",
    "00360305": "Caixa Econômica Federal",
    "30306294": "BTG Pactual",
    "92894922": "Original",
    "60746948": "Bradesco",
    "18236120": "Nubank",
    "08561701": "PagSeguro",
    "10573521": "Mercado Pago",
    "31872495": "C6",
    "60701190": "Itaú",
    "22896431": "PicPay",
    "58160789": "Safra",
    "01181521": "Sicredi",
    "02038232": "Sicoob",
}


def name_of(ispb: str, ours: str) -> str | None:
    """A participant's name; `None` where nobody here knows it. `ours` is our own ISPB."""
    return OUR_NAME if ispb == ours else NAMES.get(ispb)
