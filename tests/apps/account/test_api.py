"""Accounts over HTTP: what is answered, to whom, and which answers end a client's repeating."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from apps.account.api import AccountService, router
from apps.account.linked import BadCursor, LinkedAway, LinkedBalance, LinkedStatement, NotLinked
from apps.kit.dynamo import OutcomeUnknown, Unavailable
from tests.apps.account.fake_linked import FakeLinked
from tests.apps.account.fake_store import FakeStore
from tests.apps.serving import ANA, BETO, problem, served, signed_in

ISPB = "99999004"
BODY = {"name": "Ana Souza", "tax_id": "529.982.247-25", "account_type": "CACC"}
BETOS = {"name": "Beto Lima", "tax_id": "111.444.777-35", "account_type": "SVGS"}
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def linked() -> FakeLinked:
    return FakeLinked()


@pytest.fixture
def client(store: FakeStore, linked: FakeLinked) -> Iterator[TestClient]:
    now = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
    with served(router, {"service": AccountService(store, ISPB, linked, lambda: now)}) as opened:
        yield opened


def post(client: TestClient, body: Any = BODY, subject: str = ANA, key: str = "key") -> Response:
    headers = signed_in(subject, **{"Idempotency-Key": key, "Content-Type": "application/json"})
    # Written here, so that a lone surrogate travels as its escape.
    return client.post("/accounts", content=json.dumps(body), headers=headers)


def get(client: TestClient, path: str, subject: str = ANA) -> Response:
    return client.get(path, headers=signed_in(subject))


def opened(client: TestClient, body: Any = BODY, subject: str = ANA, key: str = "key") -> str:
    answer = post(client, body, subject, key)
    assert answer.status_code == 201, answer.text
    account_id: str = answer.json()["account_id"]
    return account_id


def test_an_opened_account_is_answered_with_its_place(client: TestClient) -> None:
    answer = post(client)
    assert answer.status_code == 201
    account = answer.json()
    assert account["institution"] == {"ispb": ISPB, "name": "GO Banking"}
    assert {name: account[name] for name in ("name", "tax_id", "account_type", "branch")} == {
        "name": "Ana Souza",
        "tax_id": "52998224725",
        "account_type": "CACC",
        "branch": "0001",
    }
    assert answer.headers["location"] == f"/accounts/{account['account_id']}"
    assert "idempotent-replayed" not in answer.headers
    looked_at = get(client, answer.headers["location"]).json()
    assert (looked_at.pop("available_cents"), looked_at.pop("on_hold_cents")) == (0, 0)
    assert looked_at.pop("status") == "ACTIVE"
    for shown in (account, looked_at):
        shown["opened_at"] = datetime.fromisoformat(shown["opened_at"])
    assert looked_at == account


def test_the_same_request_again_is_answered_with_the_same_bytes(client: TestClient) -> None:
    first, again = post(client), post(client)
    assert again.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"


def test_spelling_of_the_tax_id_and_spaces_make_no_other_request(client: TestClient) -> None:
    first = post(client)
    again = post(client, BODY | {"tax_id": "52998224725", "name": " Ana Souza "})
    assert again.content == first.content


@pytest.mark.parametrize("change", [{"name": "Ana"}, {"account_type": "SVGS"}], ids=["name", "type"])
def test_a_key_of_another_request_is_refused_for_good(client: TestClient, change: dict[str, str]) -> None:
    opened(client)
    problem(post(client, BODY | change), 422, "idempotency_key_reused", final=True)


@pytest.mark.parametrize(
    ("body", "subject"),
    [(BODY, BETO), (BETOS, ANA)],
    ids=["the tax id is somebody else's", "the login has another tax id"],
)
def test_a_bound_tax_id_is_refused_for_good(client: TestClient, body: dict[str, str], subject: str) -> None:
    opened(client)
    document = problem(post(client, body, subject, "other"), 409, "tax_id_bound", final=True)
    assert "529" not in document["detail"]


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [(OutcomeUnknown(), 504, "outcome_unknown"), (Unavailable(), 503, "unavailable")],
    ids=["outcome unknown", "unavailable"],
)
def test_a_failure_decides_nothing_and_says_when_to_repeat(
    client: TestClient, store: FakeStore, failure: Exception, status: int, code: str
) -> None:
    store.fails = failure
    answer = post(client)
    document = problem(answer, status, code)
    assert answer.headers["retry-after"] == "1"
    store.fails = None
    account_id = opened(client)
    assert document.get("account_id") in {None, account_id}
    assert ("account_id" in document) is (code == "outcome_unknown")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": ""}, "body.name"),
        ({"name": "   "}, "body.name"),
        ({"name": "x" * 121}, "body.name"),
        ({"name": "a\nb"}, "body.name"),
        ({"name": "\ud800"}, "body.name"),
        ({"name": 7}, "body.name"),
        ({"name": None}, "body.name"),
        ({"tax_id": "529.982.247-26"}, "body.tax_id"),
        ({"tax_id": 52998224725}, "body.tax_id"),
        ({"tax_id": "1" * 21}, "body.tax_id"),
        ({"account_type": "cacc"}, "body.account_type"),
        ({"account_type": "SLRY"}, "body.account_type"),
        ({"owner": "beto"}, "body.owner"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_bad_opening_says_where_and_opens_nothing(
    client: TestClient, store: FakeStore, change: dict[str, Any], where: str
) -> None:
    document = problem(post(client, BODY | change), 422, "invalid_request")
    assert [each["where"] for each in document["errors"]] == [where]
    assert store.profiles == {}


@pytest.mark.parametrize("path", ["/accounts/{}", "/accounts/{}/entries", "/accounts/{}/balance"])
def test_what_is_not_yours_is_not_there(client: TestClient, path: str) -> None:
    account_id = opened(client)
    others = get(client, path.format(account_id), BETO)
    nobodys = get(client, path.format(NOBODYS), BETO)
    document = problem(others, 404, "account_not_found")
    # Nothing tells the two apart.
    said = {name: value for name, value in document.items() if name not in {"instance", "request_id"}}
    assert said.items() <= problem(nobodys, 404, "account_not_found").items()


@pytest.mark.parametrize(
    "path",
    [
        "/accounts",
        "/balances",
        f"/accounts/{NOBODYS}",
        f"/accounts/{NOBODYS}/entries",
        f"/accounts/{NOBODYS}/balance",
    ],
)
def test_nobody_sees_anything_without_a_token(client: TestClient, path: str) -> None:
    problem(client.get(path), 401, "unauthenticated")


def test_balances_are_those_of_the_caller_and_their_sum(client: TestClient, store: FakeStore) -> None:
    first = opened(client)
    second = opened(client, BODY | {"account_type": "SVGS"}, key="second")
    of_beto = opened(client, BETOS, BETO)
    store.write(first, "credit", "2026-11-25T12:00:01.000Z", 700)
    store.write(first, "hold", "2026-11-25T12:00:02.000Z", -200, 200)
    store.write(second, "credit", "2026-11-25T12:00:03.000Z", 41)
    store.write(of_beto, "credit", "2026-11-25T12:00:04.000Z", 9)
    body = get(client, "/balances").json()
    assert body["total_cents"] == 541
    assert {
        each["account_id"]: (each["available_cents"], each["on_hold_cents"]) for each in body["accounts"]
    } == {
        first: (500, 200),
        second: (41, 0),
    }
    assert all(each["institution"] == "GO Banking" and not each["stale"] for each in body["accounts"])
    listed = get(client, "/accounts").json()["accounts"]
    assert [each["account_id"] for each in listed] == [first, second]
    assert [each["available_cents"] for each in listed] == [500, 41]


def test_a_caller_without_accounts_has_nothing(client: TestClient) -> None:
    assert get(client, "/balances").json() == {
        "total_cents": 0,
        "totals": [{"currency": "BRL", "total_cents": 0}],
        "complete": True,
        "accounts": [],
    }
    assert get(client, "/accounts").json() == {"accounts": []}


def history(client: TestClient, store: FakeStore) -> str:
    """An account with two credits and one debit, and holds that no statement shows."""
    account_id = opened(client)
    store.write(account_id, "credit", "2026-11-25T12:00:01.000Z", 700)
    store.write(account_id, "hold", "2026-11-26T12:00:02.000Z", -200, 200)
    store.write(account_id, "debit", "2026-11-27T12:00:03.000Z", 0, -200)
    store.write(account_id, "credit", "2026-12-02T12:00:04.000Z", 3)
    return account_id


def test_a_statement_shows_amounts_and_what_was_left(client: TestClient, store: FakeStore) -> None:
    account_id = history(client, store)
    body = get(client, f"/accounts/{account_id}/entries").json()
    assert body["account_id"] == account_id
    assert body["cursor"] is None
    assert [
        (each["kind"], each["amount_cents"], each["available_after_cents"], each["on_hold_after_cents"])
        for each in body["entries"]
    ] == [("credit", 3, 503, 0), ("debit", 200, 500, 0), ("credit", 700, 700, 0)]


def test_a_statements_cursor_leads_to_the_next_page(client: TestClient, store: FakeStore) -> None:
    path = f"/accounts/{history(client, store)}/entries?limit=2"
    first = get(client, path).json()
    second = get(client, f"{path}&cursor={first['cursor']}").json()
    assert [each["seq"] for each in first["entries"] + second["entries"]] == [4, 3, 1]
    assert second["cursor"] is None


@pytest.mark.parametrize(
    ("query", "seqs"),
    [
        ("from=2026-11-26", [4, 3]),
        ("to=2026-11-27", [3, 1]),
        ("from=2026-11-27&to=2026-11-27", [3]),
        ("from=2026-11-28&to=2026-12-01", []),
        ("from=2026-12-31&to=2026-01-01", []),
        ("from=0001-01-01&to=9999-12-31", [4, 3, 1]),
    ],
)
def test_a_statement_is_of_the_days_that_were_asked_for(
    client: TestClient, store: FakeStore, query: str, seqs: list[int]
) -> None:
    answer = get(client, f"/accounts/{history(client, store)}/entries?{query}")
    assert answer.status_code == 200, answer.text
    assert [each["seq"] for each in answer.json()["entries"]] == seqs


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("cursor=abc", "query.cursor"),
        ("cursor=", "query.cursor"),
        ("cursor=" + "a" * 301, "query.cursor"),
        ("kind=cash", "query.kind.0"),
        ("limit=0", "query.limit"),
        ("limit=201", "query.limit"),
        ("limit=x", "query.limit"),
        ("from=2026-02-30", "query.from"),
        ("to=yesterday", "query.to"),
    ],
)
def test_a_bad_question_says_where(client: TestClient, store: FakeStore, query: str, where: str) -> None:
    answer = get(client, f"/accounts/{history(client, store)}/entries?{query}")
    assert [each["where"] for each in problem(answer, 422, "invalid_request")["errors"]] == [where]


def test_an_id_that_is_none_is_a_bad_request(client: TestClient) -> None:
    problem(get(client, "/accounts/1"), 422, "invalid_request")


def delete(client: TestClient, account_id: str, subject: str = ANA) -> Response:
    return client.delete(f"/accounts/{account_id}", headers=signed_in(subject))


def test_an_empty_account_is_closed_and_closing_again_changes_nothing(
    client: TestClient, store: FakeStore
) -> None:
    account_id, other = opened(client), opened(client, BODY | {"account_type": "SVGS"}, key="second")
    for _ in range(2):
        answer = delete(client, account_id)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-type" not in answer.headers
    assert get(client, f"/accounts/{account_id}").json()["status"] == "CLOSED"
    assert [each["status"] for each in get(client, "/accounts").json()["accounts"]] == ["CLOSED", "ACTIVE"]
    assert [each["account_id"] for each in get(client, "/balances").json()["accounts"]] == [other]
    kinds = get(client, f"/accounts/{account_id}/entries?kind=close").json()["entries"]
    assert [(each["kind"], each["amount_cents"]) for each in kinds] == [("close", 0)]


def test_an_account_with_money_is_not_closed_and_says_what_is_left(
    client: TestClient, store: FakeStore
) -> None:
    account_id = opened(client)
    store.write(account_id, "credit", "2026-11-25T12:00:01.000Z", 700)
    store.write(account_id, "hold", "2026-11-25T12:00:02.000Z", -200, 200)
    document = problem(delete(client, account_id), 409, "account_not_empty")
    left = {name: document[name] for name in document if name.endswith("_cents")}
    assert left == {"available_cents": 500, "on_hold_cents": 200, "pending_credits_cents": 0}
    assert get(client, f"/accounts/{account_id}").json()["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("change", "code"), [({"status": "BLOCKED"}, "account_blocked"), ({"frozen": True}, "account_frozen")]
)
def test_an_account_that_the_bank_has_stopped_is_not_closed(
    client: TestClient, store: FakeStore, change: dict[str, Any], code: str
) -> None:
    account_id = opened(client)
    store.balances[account_id] = replace(store.balances[account_id], **change)
    problem(delete(client, account_id), 409, code)


LINK = "11111111-0000-4000-8000-000000000000"
LINKED = "22222222-0000-4000-8000-000000000000"


def at_bank(available: int | None, currency: str = "BRL", *, stale: bool = False) -> LinkedBalance:
    """A linked account with so much on it."""
    return LinkedBalance.model_validate(
        {
            "link_id": LINK,
            "account_id": LINKED,
            "institution": "Banco Ipê",
            "currency": currency,
            "available_cents": available,
            "on_hold_cents": None if available is None else 0,
            "as_of": None if available is None else "2026-11-25T12:00:00Z",
            "stale": stale,
        }
    )


def test_linked_accounts_are_seen_beside_ones_own_and_summed_by_currency(
    client: TestClient, store: FakeStore, linked: FakeLinked
) -> None:
    store.write(opened(client), "credit", "2026-11-25T12:00:01.000Z", 700)
    linked.found = [at_bank(41), at_bank(-1, stale=True), at_bank(5, "USD")]
    body = get(client, "/balances").json()
    assert (body["total_cents"], body["complete"]) == (740, True)
    assert body["totals"] == [
        {"currency": "BRL", "total_cents": 740},
        {"currency": "USD", "total_cents": 5},
    ]
    assert [(each["institution"], each["link_id"], each["stale"]) for each in body["accounts"]] == [
        ("GO Banking", None, False),
        ("Banco Ipê", LINK, False),
        ("Banco Ipê", LINK, True),
        ("Banco Ipê", LINK, False),
    ]


def test_other_banks_are_asked_with_the_callers_own_token(client: TestClient, linked: FakeLinked) -> None:
    get(client, "/balances", BETO)
    get(client, f"/accounts/{LINKED}/entries", ANA)
    assert linked.asked == [signed_in(BETO)["Authorization"], signed_in(ANA)["Authorization"]]


def test_a_figure_that_was_never_told_is_not_summed(client: TestClient, linked: FakeLinked) -> None:
    linked.found = [at_bank(None, stale=True), at_bank(7)]
    body = get(client, "/balances").json()
    assert (body["total_cents"], body["complete"]) == (7, False)
    assert [each["available_cents"] for each in body["accounts"]] == [None, 7]


@pytest.mark.parametrize("away", ["silent", "failing"])
def test_what_is_here_is_shown_while_other_banks_cannot_be_asked(
    client: TestClient, store: FakeStore, linked: FakeLinked, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.account.api.LINKED_SECONDS", 0.05)
    store.write(opened(client), "credit", "2026-11-25T12:00:01.000Z", 700)
    linked.hangs, linked.fails = away == "silent", LinkedAway("500") if away == "failing" else None
    body = get(client, "/balances").json()
    assert (body["total_cents"], body["complete"], len(body["accounts"])) == (700, False, 1)


def test_a_linked_accounts_statement_has_the_same_shape(
    client: TestClient, store: FakeStore, linked: FakeLinked
) -> None:
    entry = {
        "entry_id": "tx1",
        "kind": "debit",
        "description": "Café",
        "amount_cents": 77,
        "currency": "USD",
        "at": "2026-11-25T12:00:00Z",
    }
    told = {"entries": [entry], "cursor": "next", "stale": True, "as_of": "2026-11-25T12:00:00Z"}
    linked.statements[UUID(LINKED)] = LinkedStatement.model_validate(told)
    body = get(client, f"/accounts/{LINKED}/entries?from=2026-11-01&limit=7&cursor=abc").json()
    assert linked.queries == [{"from": "2026-11-01", "cursor": "abc", "limit": "7"}]
    assert (body["account_id"], body["cursor"], body["stale"]) == (LINKED, "next", True)
    shown = body["entries"][0]
    own = get(client, f"/accounts/{history(client, store)}/entries").json()
    assert shown.keys() == own["entries"][0].keys()
    assert (shown["currency"], own["entries"][0]["currency"]) == ("USD", "BRL")
    assert (shown["kind"], shown["amount_cents"], shown["reference"], shown["seq"]) == (
        "debit",
        77,
        "tx1",
        None,
    )


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [(OutcomeUnknown(), 504, "outcome_unknown"), (Unavailable(), 503, "unavailable")],
)
def test_a_closing_that_fails_may_be_repeated(
    client: TestClient, store: FakeStore, failure: Exception, status: int, code: str
) -> None:
    account_id = opened(client)

    store.close_fails = failure
    answer = delete(client, account_id)
    problem(answer, status, code)
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("subject", [BETO, None], ids=["somebody else", "nobody"])
def test_only_its_owner_closes_an_account(client: TestClient, store: FakeStore, subject: str | None) -> None:
    account_id = opened(client)
    if subject is None:
        problem(client.delete(f"/accounts/{account_id}"), 401, "unauthenticated")
    else:
        problem(delete(client, account_id, subject), 404, "account_not_found")
    assert store.balances[account_id].status == "ACTIVE"


def test_all_balances_are_read_together(client: TestClient, store: FakeStore) -> None:
    for number in range(5):
        opened(client, key=f"key-{number}")
    for path in ("/accounts", "/balances"):
        store.reads = 0
        assert len(get(client, path).json()["accounts"]) == 5
        assert store.reads == 1


@pytest.mark.parametrize(
    ("query", "seqs"),
    [
        ("kind=credit", [4, 1]),
        ("kind=hold", [2]),
        ("kind=debit&kind=hold", [3, 2]),
        ("kind=credit&kind=debit", [4, 3, 1]),
        ("kind=block", []),
        ("kind=hold&from=2026-11-27", []),
    ],
)
def test_a_statement_is_of_the_kinds_that_were_asked_for(
    client: TestClient, store: FakeStore, query: str, seqs: list[int]
) -> None:
    body = get(client, f"/accounts/{history(client, store)}/entries?{query}").json()
    assert [each["seq"] for each in body["entries"]] == seqs


def test_the_next_page_has_not_forgotten_what_the_first_was_asked(
    client: TestClient, store: FakeStore
) -> None:
    path = f"/accounts/{history(client, store)}/entries"
    asked = "from=2026-11-26&to=2026-12-31&kind=credit&kind=debit&kind=hold"
    first = get(client, f"{path}?{asked}&limit=2").json()
    assert [each["seq"] for each in first["entries"]] == [4, 3]
    for beside in ("", f"&{asked}"):
        second = get(client, f"{path}?cursor={first['cursor']}{beside}").json()
        assert [each["seq"] for each in second["entries"]] == [2]
    other = get(client, f"{path}?cursor={first['cursor']}&from=2026-11-25")
    assert [each["where"] for each in problem(other, 422, "invalid_request")["errors"]] == ["query.cursor"]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-25T12:00:00Z", (0, 0, 0)),
        ("2026-11-25T12:00:01Z", (1, 700, 0)),
        ("2026-11-26T12:00:01.999Z", (1, 700, 0)),
        ("2026-11-26T09:00:02-03:00", (2, 500, 200)),
        ("2026-11-27T12:00:03Z", (3, 500, 0)),
        ("2026-12-24T18:00:00Z", (4, 503, 0)),
    ],
)
def test_a_past_balance_is_what_was_there_at_that_moment(
    client: TestClient, store: FakeStore, at: str, expected: tuple[int, int, int]
) -> None:
    answer = get(client, f"/accounts/{history(client, store)}/balance?at={at}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["seq"], body["available_cents"], body["on_hold_cents"]) == expected
    assert datetime.fromisoformat(body["at"]) == datetime.fromisoformat(at)


def test_without_a_moment_it_is_the_balance_of_now(client: TestClient, store: FakeStore) -> None:
    body = get(client, f"/accounts/{history(client, store)}/balance").json()
    assert (body["seq"], body["available_cents"], body["on_hold_cents"]) == (4, 503, 0)


@pytest.mark.parametrize("at", ["2026-11-25T11:59:59.999Z", "0001-01-01T00:00:00%2B14:00"])
def test_before_the_opening_there_is_no_balance_not_even_zero(
    client: TestClient, store: FakeStore, at: str
) -> None:
    answer = get(client, f"/accounts/{history(client, store)}/balance?at={at}")
    document = problem(answer, 404, "before_opening")
    assert document["opened_at"] == "2026-11-25T12:00:00.000Z"


@pytest.mark.parametrize(
    "at",
    ["2026-12-24T18:00:00.001Z", "9999-12-31T23:59:59-14:00", "2026-11-26", "2026-11-26T12:00:00", "then"],
)
def test_a_moment_that_is_none_or_still_to_come_is_a_bad_question(
    client: TestClient, store: FakeStore, at: str
) -> None:
    answer = get(client, f"/accounts/{history(client, store)}/balance?at={at}")
    assert [each["where"] for each in problem(answer, 422, "invalid_request")["errors"]] == ["query.at"]


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (NotLinked(ended=False), 404, "account_not_found"),
        (NotLinked(ended=True), 409, "link_not_active"),
        (BadCursor("no"), 422, "invalid_request"),
        (LinkedAway("500"), 503, "unavailable"),
    ],
    ids=["nobody's", "link ended", "cursor", "away"],
)
def test_what_keeps_a_linked_statement_back_is_said(
    client: TestClient, linked: FakeLinked, failure: Exception, status: int, code: str
) -> None:
    linked.fails = failure
    problem(get(client, f"/accounts/{LINKED}/entries"), status, code)
