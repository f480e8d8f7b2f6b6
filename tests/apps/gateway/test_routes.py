"""Only what is listed is public, and only when it is written plainly."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.gateway.routes import ROUTES, STANDARD, Found, NotAllowed, Route, find

ID = "aaaaaaaa-0000-4000-8000-000000000000"
URN = f"urn:gobanking:{ID}"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_each_listed_operation_is_found_at_its_own_service(route: Route) -> None:
    path = re.sub(r"\{\w+\}", ID, route.template)
    assert find(route.method, path.encode()) == Found(route, path)


def test_only_a_browser_that_a_bank_sends_back_comes_without_a_token() -> None:
    assert [(each.method, each.template) for each in ROUTES if not each.token] == [("GET", "/links/callback")]


@pytest.mark.parametrize("route", STANDARD, ids=lambda route: f"{route.method} {route.template}")
def test_what_other_institutions_ask_is_proven_to_the_service_alone(route: Route) -> None:
    path = re.sub(r"\{\w+\}", ID, route.template.replace("{urn}", URN))
    assert find(route.method, path.encode()) == Found(route, path)
    assert (route.service, route.token) == ("open_finance", False)


@pytest.mark.parametrize(
    "segment",
    [
        "",
        ID,
        "urn:",
        "urn:gobanking:",
        f"urn:gobanking:{ID}:x",
        f"urn::{ID}",
        f"URN:gobanking:{ID}",
        "urn:a:b/c",
    ],
)
def test_a_consent_of_another_institution_is_named_by_its_urn(segment: str) -> None:
    assert find("GET", f"/open-banking/consents/v3/consents/{segment}".encode()) is None


@pytest.mark.parametrize("path", ["/accounts/{}", "/consents/{}", "/links/{}", "/{}"])
def test_a_urn_names_nothing_else(path: str) -> None:
    assert find("GET", path.format(URN).encode()) is None
    assert find("DELETE", path.format(URN).encode()) is None


@pytest.mark.parametrize("path", ["/linked-accounts", f"/linked-accounts/{ID}/entries", "/links/a/callback"])
def test_what_services_ask_each_other_is_not_public(path: str) -> None:
    assert find("GET", path.encode()) is None


def test_no_operation_is_listed_twice() -> None:
    every = (*ROUTES, *STANDARD)
    assert len({(route.method, route.template) for route in every}) == len(every)


@pytest.mark.parametrize(
    ("method", "path", "template", "allowed"),
    [
        ("DELETE", "/accounts", "/accounts", ("GET", "POST")),
        ("HEAD", "/accounts", "/accounts", ("GET", "POST")),
        ("OPTIONS", "/balances", "/balances", ("GET",)),
        ("get", "/balances", "/balances", ("GET",)),
        ("POST", "/links/callback", "/links/callback", ("DELETE", "GET")),
        ("PUT", f"/links/{ID}", "/links/{link_id}", ("DELETE", "GET")),
        ("POST", f"/transfers/{ID}", "/transfers/{transfer_id}", ("GET",)),
        ("GET", "/keys/lookup", "/keys/lookup", ("DELETE", "POST")),
        ("PUT", "/keys/claims", "/keys/{key_id}", ("DELETE", "GET", "POST")),
        ("POST", f"/accounts/{ID}/entries", "/accounts/{account_id}/entries", ("GET",)),
    ],
)
def test_another_method_is_told_which_ones_there_are(
    method: str, path: str, template: str, allowed: tuple[str, ...]
) -> None:
    assert find(method, path.encode()) == NotAllowed(template, allowed)


@pytest.mark.parametrize(
    "path",
    [
        b"/internal/keys/lookup",
        b"",
        b"/",
        b"*",
        b"accounts",
        b"/account",
        b"/Accounts",
        b"/accounts/",
        b"//accounts",
        b"/accounts//entries",
        b"/./accounts",
        b"/accounts/.",
        b"/accounts/..",
        b"/accounts/...",
        b"/accounts/../livez",
        b"/accounts/../entries",
        b"/transfers/../accounts",
        b"/accounts/%2e%2e",
        b"/accounts/%2E%2E/entries",
        b"/accounts/..%2fentries",
        b"/%61ccounts",
        b"/accounts%2f" + ID.encode(),
        b"/accounts/a%00b",
        b"/accounts/a;b",
        b"/accounts/a\\b",
        b"/accounts/a b",
        b"/accounts/a\nb",
        b"/accounts/a\n",
        b"/accounts/a\x00",
        b"/accounts/a?b",
        b"/accounts/a#b",
        b"/accounts/a:b@c",
        b"/accounts/\xc3\xa9",
        b"/accounts/\xff",
        b"/accounts/" + b"a" * 129,
        b"/accounts/a/entries/b",
        b"/livez",
        b"/readyz",
        b"/openapi.json",
        b"http://elsewhere/accounts",
    ],
    ids=repr,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_listed_or_not_plain_is_not_there(method: str, path: bytes) -> None:
    assert find(method, path) is None


@given(st.sampled_from(["GET", "POST", "PUT"]), st.binary(max_size=60))
def test_what_is_forwarded_never_climbs_and_is_what_came(method: str, tail: bytes) -> None:
    found = find(method, b"/accounts/" + tail)
    if isinstance(found, Found):
        assert found.path.encode() == b"/accounts/" + tail
        assert not {"", ".", ".."} & set(found.path.split("/")[1:])
        assert "%" not in found.path
