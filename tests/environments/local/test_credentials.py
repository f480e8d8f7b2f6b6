"""The endpoint that gives each service its own role's keys, and nobody else's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from environments.local.credentials import Credentials, Keys


def issue(service: str) -> Keys:
    """Keys for every service but one."""
    if service == "unlucky":
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    return {"AccessKeyId": f"key of {service}"}


@pytest.fixture
def credentials(tmp_path: Path) -> Iterator[Credentials]:
    serving = Credentials(tmp_path, issue)
    serving.start()
    for service in ("gateway", "account", "unlucky"):
        serving.variables(service)
    yield serving
    serving.close()


def token(folder: Path, service: str) -> str:
    return (folder / service).read_text()


def test_a_service_gets_its_own_keys_by_its_own_token(credentials: Credentials, tmp_path: Path) -> None:
    answer = credentials.answer("/gateway", token(tmp_path, "gateway"))
    assert answer == (200, {"AccessKeyId": "key of gateway"})


@pytest.mark.parametrize("path", ["/account", "/", "/nobody", "/../account"])
def test_another_services_token_gets_nothing(credentials: Credentials, tmp_path: Path, path: str) -> None:
    status, document = credentials.answer(path, token(tmp_path, "gateway"))
    assert status == 403
    assert set(document) == {"Message"}


@pytest.mark.parametrize("given", ["", "Bearer", "ç"], ids=["none", "wrong", "not-ascii"])
def test_without_a_token_there_is_nothing(credentials: Credentials, given: str) -> None:
    assert credentials.answer("/account", given)[0] == 403


def test_a_renewal_that_fails_is_an_answer_that_botocore_repeats(
    credentials: Credentials, tmp_path: Path
) -> None:
    status, document = credentials.answer("/unlucky", token(tmp_path, "unlucky"))
    assert status == 503
    assert document == {"Message": "no keys for unlucky now: EndpointConnectionError"}
