"""Problem documents: one meaning per code, RFC 9457's members always, and nothing that replaces them."""

import json
from pathlib import Path

import pytest

from apps.kit.problems import CODES, MEDIA_TYPE, TYPE_BASE, Problem, ProblemDocument, responses

APPS = Path(__file__).parents[3] / "apps"
STANDARD = {
    "type": TYPE_BASE + "insufficient_funds",
    "title": "Not enough available",
    "status": 409,
    "code": "insufficient_funds",
    "detail": "Not enough.",
}


def funds(**more: object) -> Problem:
    return Problem(409, "insufficient_funds", "Not enough.", facts=more)


def test_a_document_has_the_members_that_the_rfc_names() -> None:
    assert funds().body("/transfers", "id-1") == {**STANDARD, "instance": "/transfers", "request_id": "id-1"}


def test_what_is_not_known_is_left_out() -> None:
    assert funds(link=None).body(None, None) == STANDARD


def test_facts_and_extensions_are_members_beside_the_others() -> None:
    problem = Problem(409, "insufficient_funds", "Not enough.", facts={"available_cents": 5}, errors=[])
    assert problem.body(None, None) == {**STANDARD, "available_cents": 5, "errors": []}


@pytest.mark.parametrize(
    "name", ["type", "title", "status", "code", "detail", "instance", "request_id", "final"]
)
def test_no_fact_replaces_a_member_that_clients_act_on(name: str) -> None:
    with pytest.raises(AssertionError, match=name):
        funds(**{name: "SETTLED"})


@pytest.mark.parametrize("final", [True, False])
def test_only_what_is_final_says_so(final: bool) -> None:
    body = Problem(409, "insufficient_funds", "Not enough.", final=final).body(None, None)
    assert body.get("final", "absent") == (True if final else "absent")


def test_the_text_of_the_exception_is_the_code_and_never_the_detail() -> None:
    problem = Problem(404, "account_not_found", "Ana's account", headers={"Retry-After": "1"})
    assert str(problem) == "account_not_found"
    assert "Ana" not in repr(problem)
    assert problem.headers == {"Retry-After": "1"}


def test_what_was_given_can_change_without_changing_the_problem() -> None:
    headers, facts = {"Retry-After": "1"}, {"available_cents": 5}
    problem = Problem(503, "unavailable", "Later.", headers=headers, facts=facts)
    headers.clear()
    facts.clear()
    assert problem.headers == {"Retry-After": "1"}
    assert problem.body(None, None)["available_cents"] == 5


@pytest.mark.parametrize("code", CODES)
def test_each_code_is_an_error_with_a_title_and_a_document_that_the_model_accepts(code: str) -> None:
    status, title = CODES[code]
    assert 400 <= status <= 599
    assert title
    assert not title.endswith(".")
    body = Problem(status, code, "A detail.", final=True).body("/path", "id")
    document = ProblemDocument.model_validate_json(json.dumps(body))
    assert document.model_dump(exclude_none=True) == body


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(400, "no_such_code", id="unknown code"),
        pytest.param(404, "insufficient_funds", id="status of another"),
    ],
)
def test_a_code_has_one_status(status: int, code: str) -> None:
    with pytest.raises(AssertionError, match=code):
        Problem(status, code, "A detail.")


def test_an_endpoint_lists_its_problems_by_status() -> None:
    found = responses("account_not_found", "insufficient_funds", "transfer_not_found")
    assert set(found) == {404, 409}
    assert found[404]["description"] == (
        "`account_not_found`: There is no such account; `transfer_not_found`: There is no such transfer"
    )
    assert found[409]["description"] == "`insufficient_funds`: Not enough available"
    for answer in found.values():
        assert answer["content"] == {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_an_endpoint_cannot_list_a_code_that_does_not_exist() -> None:
    with pytest.raises(KeyError, match="no_such_code"):
        responses("no_such_code")


def test_every_code_is_answered_somewhere() -> None:
    written = "".join(file.read_text() for file in APPS.rglob("*.py") if file.name != "problems.py")
    assert [code for code in CODES if f'"{code}"' not in written] == []
