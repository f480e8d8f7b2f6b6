"""The banks that one process plays, and in what they differ: habits of their own, which the rules allow."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Steps = tuple[Literal["RCVD", "PDNG", "ACCP", "ACPD", "ACSC"], ...]


class Brand(BaseModel):
    """One bank. `decimals` is how it writes money, `largest_page` the most that it gives at once,
    `pagination_keys` whether the further pages of a list are free of its monthly limit, `pushed_requests`
    whether it takes authorisation requests by PAR alone, `steps` the way of a payment and `step_seconds` how
    long it stays on each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slug: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$")]
    name: str
    cnpj: Annotated[str, Field(pattern=r"^[0-9]{14}$")]
    ispb: Annotated[str, Field(pattern=r"^[0-9]{8}$")]
    compe: Annotated[str, Field(pattern=r"^[0-9]{3}$")]
    organisation_id: str
    decimals: Literal[2, 4] = 2
    largest_page: Annotated[int, Field(ge=1, le=1000)] = 1000
    pagination_keys: bool = True
    pushed_requests: bool = True
    steps: Steps = ("RCVD", "ACCP", "ACPD", "ACSC")
    step_seconds: Annotated[float, Field(ge=0)] = 0.2


USUAL = (
    Brand(
        slug="ipe",
        name="Banco Ipê",
        cnpj="99999101000191",
        ispb="99999101",
        compe="901",
        organisation_id="5f1d2b34-0d5e-4a52-9a0d-0c6f6a2d0101",
    ),
    Brand(
        slug="jatoba",
        name="Jatobá Pagamentos",
        cnpj="99999102000136",
        ispb="99999102",
        compe="902",
        organisation_id="5f1d2b34-0d5e-4a52-9a0d-0c6f6a2d0102",
        decimals=4,
        largest_page=3,
        pagination_keys=False,
        pushed_requests=False,
        steps=("RCVD", "PDNG", "ACCP", "ACPD", "ACSC"),
    ),
    Brand(
        slug="caju",
        name="Caju Bank",
        cnpj="99999103000180",
        ispb="99999103",
        compe="903",
        organisation_id="5f1d2b34-0d5e-4a52-9a0d-0c6f6a2d0103",
        decimals=4,
        step_seconds=0,
    ),
    Brand(
        slug="aroeira",
        name="Banco Aroeira",
        cnpj="99999104000125",
        ispb="99999104",
        compe="904",
        organisation_id="5f1d2b34-0d5e-4a52-9a0d-0c6f6a2d0104",
        largest_page=25,
    ),
    Brand(
        slug="cedro",
        name="Cooperativa Cedro",
        cnpj="99999105000170",
        ispb="99999105",
        compe="905",
        organisation_id="5f1d2b34-0d5e-4a52-9a0d-0c6f6a2d0105",
        pushed_requests=False,
    ),
)
"""Who is there unless the settings say otherwise."""

_LIST: TypeAdapter[tuple[Brand, ...]] = TypeAdapter(tuple[Brand, ...])


def read(text: str) -> tuple[Brand, ...]:
    """Brands as JSON. Raises `ValueError` with all that is wrong."""
    brands = _LIST.validate_json(text)
    if not brands or len({each.slug for each in brands}) < len(brands):
        raise ValueError("brands: at least one, and no slug twice")
    return brands
