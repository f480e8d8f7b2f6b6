"""Money is integer centavos, called `amount_cents`. Nothing here, or anywhere, is a float or a Decimal."""

from typing import Annotated

from pydantic import BeforeValidator, Field

MAX_AMOUNT_CENTS = 10**12
"""R$ 10 billion: the most that one transfer moves."""


def whole_cents(value: object) -> object:
    """Refuses what pydantic's lax `int` would take for a number: `true` and `"100"`.

    `298.0` stays welcome: JSON Schema calls it an integer.
    """
    if isinstance(value, bool | str):
        raise ValueError("must be a JSON number of whole centavos")  # noqa: TRY004 (pydantic reads ValueError)
    return value


AmountCents = Annotated[
    int,
    # The bounds stand next to the type: after a validator, OpenAPI would not show them.
    Field(gt=0, le=MAX_AMOUNT_CENTS),
    BeforeValidator(whole_cents),
    Field(description="Amount in centavos", examples=[12345]),
]


def reais(cents: int) -> str:
    """`123456` as `R$ 1.234,56`, for people.

    >>> reais(-5)
    '-R$ 0,05'
    """
    whole, rest = divmod(abs(cents), 100)
    sign = "-" if cents < 0 else ""
    return f"{sign}R$ {whole:,}".replace(",", ".") + f",{rest:02d}"
