"""A secret's value, and what is said where there is none."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from apps.kit import secret_values
from apps.kit.settings import SettingsError


class Secrets:
    """Secrets Manager with one answer."""

    def __init__(self, answer: str | ClientError) -> None:
        self.answer = answer

    def get_secret_value(self, **request: Any) -> Any:
        assert request == {"SecretId": "dev-keys"}
        if isinstance(self.answer, ClientError):
            raise self.answer
        return {"SecretString": self.answer}


def failed(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "it says so"}}, "GetSecretValue")


def test_the_text_is_what_somebody_put_in() -> None:
    assert secret_values.read(Secrets("text"), "dev-keys") == "text"


def test_without_a_value_the_start_ends_with_how_to_give_it_one() -> None:
    with pytest.raises(secret_values.NoSecret, match="put-secret-value --secret-id dev-keys") as none:
        secret_values.read(Secrets(failed("ResourceNotFoundException")), "dev-keys")
    assert isinstance(none.value, SettingsError), "told in a line, without a traceback"


def test_a_refusal_is_not_taken_for_an_empty_secret() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        secret_values.read(Secrets(failed("AccessDeniedException")), "dev-keys")
