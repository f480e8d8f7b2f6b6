"""The public description says exactly what is public, with the answers that the gateway itself gives."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from apps.gateway.openapi import Collision, merged
from apps.gateway.routes import ROUTES
from tests.apps.gateway.descriptions import of_services

PUBLIC = merged(of_services())


def operations() -> list[tuple[str, dict[str, Any]]]:
    return [(method, each) for methods in PUBLIC["paths"].values() for method, each in methods.items()]


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (found for name, found in value.items() if name == "$ref")
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_public_operation_is_described_and_no_other() -> None:
    described = {(method.upper(), path) for path, methods in PUBLIC["paths"].items() for method in methods}
    assert described == {(route.method, route.template) for route in ROUTES}


def test_operations_that_are_not_public_stay_out() -> None:
    documents = of_services()
    documents["account"]["paths"]["/internal"] = documents["account"]["paths"]["/balances"]
    documents["account"]["paths"]["/balances"]["delete"] = documents["account"]["paths"]["/balances"]["get"]
    assert merged(documents)["paths"] == PUBLIC["paths"]


def test_every_reference_leads_somewhere() -> None:
    found = set(references(PUBLIC))
    assert "#/components/schemas/Problem" in found
    assert {each.removeprefix("#/components/schemas/") for each in found} <= set(
        PUBLIC["components"]["schemas"]
    )


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(set(names)) == len(names) == len(ROUTES)


def test_every_operation_but_a_banks_way_back_asks_for_a_token() -> None:
    assert PUBLIC["components"]["securitySchemes"]["cognito"]["scheme"] == "bearer"
    for route in ROUTES:
        operation = PUBLIC["paths"][route.template][route.method.lower()]
        assert operation["security"] == ([{"cognito": []}] if route.token else [])
        assert ("401" in operation["responses"]) is route.token


def test_the_gateways_own_answers_are_there() -> None:
    for method, operation in operations():
        answers = operation["responses"]
        assert {"413", "500", "502", "503", "504"} <= set(answers)
        silence = "upstream_timeout" if method == "get" else "outcome_unknown"
        assert silence in answers["504"]["description"]
        assert "upstream_error" in answers["502"]["description"]


def test_what_the_service_says_of_an_answer_is_kept() -> None:
    opening = PUBLIC["paths"]["/accounts"]["post"]["responses"]
    assert "tax_id_bound" in opening["409"]["description"]
    assert "201" in opening


def test_the_services_own_documents_stay_as_they_are() -> None:
    documents = of_services()
    before = copy.deepcopy(documents)
    merged(documents)
    assert documents == before


def test_one_name_for_two_schemas_is_a_collision() -> None:
    documents = of_services()
    documents["transaction"]["components"]["schemas"]["Balances"] = {"type": "string"}
    with pytest.raises(Collision, match="transaction describes 'Balances' differently"):
        merged(documents)


def test_one_name_for_two_ways_to_sign_in_is_a_collision() -> None:
    documents = of_services()
    documents["transaction"]["components"]["securitySchemes"]["cognito"] = {"type": "http", "scheme": "basic"}
    with pytest.raises(Collision, match="transaction describes 'cognito' differently"):
        merged(documents)


def test_the_same_schema_in_two_services_is_none() -> None:
    documents = of_services()
    shared = {"type": "string"}
    for document in documents.values():
        document["components"]["schemas"]["Shared"] = shared
    assert merged(documents)["components"]["schemas"]["Shared"] == shared
