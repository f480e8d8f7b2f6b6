"""What endpoints take from a request: their bank, the body as it came, a form, and their own URL."""

import json
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request, Response

from apps.kit.problems import Problem
from apps.simulators.other_bank.answers import Place, Refused, place
from apps.simulators.other_bank.bank import Bank
from apps.simulators.other_bank.banks import Banks

JSON = "application/json; charset=utf-8"


def _banks(request: Request) -> Banks:
    banks: Banks = request.app.state.banks
    return banks


BanksDep = Annotated[Banks, Depends(_banks)]


def _bank(brand: str, banks: BanksDep) -> Bank:
    """The bank that the path names."""
    found = banks.by_slug.get(brand)
    if found is None:
        raise Problem(404, "not_found", "There is no such bank.")
    return found


async def _body(request: Request) -> bytes:
    return await request.body()


BankDep = Annotated[Bank, Depends(_bank)]
BodyDep = Annotated[bytes, Depends(_body)]


def form(body: bytes) -> dict[str, str]:
    """The fields of a form that has each once."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def document(body: bytes) -> object:
    """A JSON body. Raises `Refused`."""
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "PARAMETRO_INVALIDO", "The body is not JSON.") from error
    return found


def base(request: Request) -> str:
    """Where this process is reached."""
    return str(request.base_url).rstrip("/")


def issuer(request: Request, bank: Bank) -> str:
    """Where a bank is reached: its name as an issuer."""
    return f"{base(request)}/{bank.brand.slug}"


def url(request: Request) -> str:
    """This request's URL without its query."""
    return base(request) + request.url.path


def page(request: Request, bank: Bank) -> Place:
    """The page that this request asks for. Raises `Refused`."""
    key = bank.page_key(request.url.path) if bank.brand.pagination_keys else None
    return place(url(request), request.query_params.multi_items(), bank.brand.largest_page, key)


def leads_on(request: Request, bank: Bank) -> bool:
    """Whether this asks for a further page of a list under the key that its first page gave."""
    key = request.query_params.get("pagination-key")
    first = request.query_params.get("page", "1") == "1"
    return bank.brand.pagination_keys and not first and key == bank.page_key(request.url.path)


def answer(content: object, status: int = 200) -> Response:
    """A JSON answer with the published media type."""
    return Response(json.dumps(content, ensure_ascii=False), status, media_type=JSON)


def authorization(request: Request) -> str | None:
    """The Authorization header."""
    return request.headers.get("authorization")
