"""Which of a caller's accounts their Pix key leads to, as the DICT service tells it: asked with the caller's
own token, so that it answers nobody else's."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.kit.dynamo import Unavailable
from apps.kit.logs import request_id
from apps.kit.outbound import Call, NoAnswer, Send

SECONDS = 2.0


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Key(_Told):
    key: Annotated[str, Field(max_length=77)] | None
    account_id: UUID
    status: Literal["PENDING", "ACTIVE", "DELETING"]


class _Keys(_Told):
    keys: list[_Key]


class DictOwnKeys:
    """The DICT service at `url`."""

    def __init__(self, send: Send, url: str) -> None:
        self._send = send
        self._url = url

    def account_of(self, key: str, authorization: str) -> str | None:
        """The account that a key of the caller's leads to, once the DICT has it. Raises `Unavailable`."""
        headers = {"Authorization": authorization}
        if (known := request_id()) is not None:
            headers["X-Request-Id"] = known
        try:
            answer = self._send(Call("GET", f"{self._url}/keys", headers), SECONDS)
        except NoAnswer as error:
            raise Unavailable("dict_key") from error
        if answer.status != 200:
            raise Unavailable("dict_key")
        try:
            found = _Keys.model_validate_json(answer.body)
        except ValidationError:
            # Not chained: its text quotes what was answered.
            raise Unavailable("dict_key") from None
        mine = (each for each in found.keys if each.key == key and each.status == "ACTIVE")
        return next((str(each.account_id) for each in mine), None)
