"""Linking: what proves a consent, what ends one, and that everything else links nothing."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apps.kit.outbound import Answer, Call
from apps.simulators.other_bank.faults import Fault, FaultPlan
from tests.apps.open_finance.stage import CPFS, IPE, JATOBA, PUBLIC_URL, START, Stage, query_of, staged
from tests.apps.serving import ANA, BETO, problem

BALANCES = ["ACCOUNTS_READ", "ACCOUNTS_BALANCES_READ", "RESOURCES_READ"]


def nothing_linked(stage: Stage, subject: str = ANA) -> None:
    """No link stands and nothing of a bank is kept."""
    assert {each["status"] for each in stage.get("/links", subject).json()["links"]} <= {
        "REJECTED",
        "EXPIRED",
    }
    kept = {item["sk"]["S"].partition("#")[0] for item in stage.items()}
    assert kept <= {"CLIENT", "LINK", "STATE", "CALLS"}
    assert [item for item in stage.items() if item["pk"]["S"].startswith("ACCOUNT#")] == []
    assert stage.get("/linked-accounts", subject).json() == {"accounts": []}


def test_the_banks_are_those_of_the_directory_by_name(stage: Stage) -> None:
    banks = stage.get("/banks").json()["banks"]
    assert [each["name"] for each in banks] == sorted(each["name"] for each in banks)
    assert {"bank": IPE, "name": "Banco Ipê", "ispb": "99999101"} in banks
    assert len(banks) == 5


def test_a_link_asks_for_whole_groups_and_names_its_customer(stage: Stage) -> None:
    stage.started()
    consent = stage.consent_of()
    assert consent.cpf == CPFS[ANA]
    assert set(consent.permissions) == {*BALANCES, "ACCOUNTS_TRANSACTIONS_READ"}


@pytest.mark.parametrize("bank", [IPE, JATOBA], ids=["pushed", "by value"])
def test_the_browser_carries_no_secret_of_the_request(stage: Stage, bank: str) -> None:
    query = query_of(stage.started(bank)["authorisation_url"])
    assert ("request_uri" in query, "request" in query) == (bank == IPE, bank == JATOBA)
    assert stage.wire.asked("/ipe/par") + stage.wire.asked("/jatoba/par") == (bank == IPE)
    assert "code_verifier" not in json.dumps(query)


def test_a_replayed_key_answers_the_first_link_and_asks_the_bank_once(stage: Stage) -> None:
    first = stage.post("/links", {"bank": IPE}, key="once")
    again = stage.post("/links", {"bank": IPE}, key="once")
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert len(stage.bank(IPE).consents) == 1
    problem(stage.post("/links", {"bank": JATOBA}, key="once"), 422, "idempotency_key_reused", final=True)


@pytest.mark.parametrize(
    "permissions",
    [
        [],
        ["ACCOUNTS_READ"],
        ["ACCOUNTS_READ", "RESOURCES_READ"],
        ["ACCOUNTS_BALANCES_READ", "RESOURCES_READ"],
        [*BALANCES, "ACCOUNTS_OVERDRAFT_LIMITS_READ"],
        [*BALANCES, "LOANS_READ"],
        [*BALANCES, "balances"],
    ],
    ids=[
        "none",
        "one",
        "no figures",
        "without the accounts",
        "half a group",
        "no group of ours",
        "no permission",
    ],
)
def test_an_incomplete_group_is_refused_before_any_bank_hears_of_it(
    stage: Stage, permissions: list[str]
) -> None:
    problem(stage.post("/links", {"bank": IPE, "permissions": permissions}), 422, "permissions_incomplete")
    assert stage.wire.calls == []
    nothing_linked(stage)


@pytest.mark.parametrize(
    "expires_at",
    [START - timedelta(seconds=1), START, START + timedelta(days=366)],
    ids=["past", "now", "more than a year"],
)
def test_a_consent_ends_in_the_future_within_a_year(stage: Stage, expires_at: Any) -> None:
    answer = stage.post("/links", {"bank": IPE, "expires_at": expires_at.isoformat()})
    assert [each["where"] for each in problem(answer, 422, "invalid_request")["errors"]] == [
        "body.expires_at"
    ]
    assert stage.wire.calls == []


@pytest.mark.parametrize("body", [{}, {"bank": ""}, {"bank": 7}, {"bank": IPE, "cpf": "1"}, []], ids=str)
def test_a_bad_request_links_nothing(stage: Stage, body: Any) -> None:
    problem(stage.post("/links", body), 422, "invalid_request")
    nothing_linked(stage)


def test_a_bank_that_takes_no_part_is_unknown(stage: Stage) -> None:
    problem(stage.post("/links", {"bank": "nobody"}), 422, "bank_unknown")


def test_who_has_no_account_here_has_no_cpf_to_consent_with(stage: Stage) -> None:
    problem(stage.post("/links", {"bank": IPE}, "subject-of-nobody"), 409, "tax_id_unknown")
    assert stage.bank(IPE).consents == {}


def test_a_bank_refuses_a_customer_whose_cpf_is_not_the_consents(stage: Stage) -> None:
    location = stage.browser.agree(stage.started()["authorisation_url"], CPFS[BETO])
    assert query_of(location)["error"] == "access_denied"
    problem(stage.come_back(location), 400, "callback_refused")
    assert stage.consent_of().status == "REJECTED"
    nothing_linked(stage)


# --- what a browser brings back -----------------------------------------------------------------


def another_links_state(stage: Stage, location: str) -> str | None:
    other = stage.browser.agree(stage.started(IPE, BETO)["authorisation_url"], CPFS[BETO])
    return query_of(other)["state"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", lambda *_: "made-up"),
        ("state", another_links_state),
        ("code", lambda *_: None),
        ("code", lambda *_: "made-up"),
        ("iss", lambda *_: None),
        ("iss", lambda *_: "http://banks.test/jatoba"),
    ],
    ids=["unknown state", "another user's state", "no code", "made-up code", "no issuer", "another bank's"],
)
def test_a_callback_that_is_not_the_links_own_links_nothing(
    stage: Stage, name: str, value: Callable[[Stage, str], str | None]
) -> None:
    location = stage.browser.agree(stage.started()["authorisation_url"], CPFS[ANA])
    answer = stage.come_back(location, **{name: value(stage, location)})
    assert answer.status_code in {400, 409}, answer.text
    assert answer.json()["code"] in {"callback_refused", "bank_refused"}
    assert not [each for each in stage.get("/links").json()["links"] if each["status"] == "ACTIVE"]
    assert not [each for each in stage.get("/links", BETO).json()["links"] if each["status"] == "ACTIVE"]


@pytest.mark.parametrize("whose", [ANA, BETO], ids=["one's own", "another customer's"])
@pytest.mark.parametrize("used", [True, False], ids=["used", "not used yet"])
def test_a_code_of_another_request_links_nothing_under_a_fresh_state(
    stage: Stage, whose: str, *, used: bool
) -> None:
    """What is bound to the code is the request's own verifier, so a state that is good is not enough."""
    earlier = stage.browser.agree(stage.started(IPE, whose)["authorisation_url"], CPFS[whose])
    if used:
        assert stage.come_back(earlier).status_code == 200
    known = stage.get("/links").json()["links"]
    fresh = stage.started()
    location = stage.browser.agree(fresh["authorisation_url"], CPFS[ANA])
    problem(stage.come_back(location, code=query_of(earlier)["code"]), 409, "bank_refused")
    links = stage.get("/links").json()["links"]
    assert [each for each in links if each["link_id"] != fresh["link_id"]] == known
    assert stage.get(f"/links/{fresh['link_id']}").json()["status"] != "ACTIVE"


def test_a_state_works_once(stage: Stage) -> None:
    location = stage.browser.agree(stage.started()["authorisation_url"], CPFS[ANA])
    assert stage.come_back(location).status_code == 200
    before = len(stage.wire.calls)
    problem(stage.come_back(location), 400, "callback_refused")
    assert len(stage.wire.calls) == before
    assert [each["status"] for each in stage.get("/links").json()["links"]] == ["ACTIVE"]


def test_an_answer_after_an_hour_finds_nobody_waiting(stage: Stage) -> None:
    link = stage.started()
    stage.time.skip(minutes=59)
    assert stage.get(f"/links/{link['link_id']}").json()["status"] == "AWAITING_AUTHORISATION"
    stage.time.skip(minutes=1)
    expired = stage.get(f"/links/{link['link_id']}").json()
    assert (expired["status"], expired["authorisation_url"]) == ("EXPIRED", None)
    assert stage.get("/links").json()["links"][0]["status"] == "EXPIRED"
    stage.bank(IPE).age(stage.consent_of())
    assert stage.consent_of().status == "REJECTED"


def test_a_yes_in_time_that_comes_back_too_late_links_nothing_and_ends_at_the_bank(stage: Stage) -> None:
    started = stage.started()
    location = stage.browser.agree(started["authorisation_url"], CPFS[ANA])
    stage.time.skip(minutes=60)
    assert stage.consent_of().status == "AUTHORISED"
    problem(stage.come_back(location), 400, "callback_refused")
    nothing_linked(stage)
    assert not any(b"grant_type=authorization_code" in (each.body or b"") for each in stage.wire.calls)
    assert stage.consent_of().status == "REJECTED"
    problem(stage.come_back(location), 400, "callback_refused")


@pytest.mark.parametrize(
    ("lie", "status", "code"),
    [
        ("another_customer", 502, "bank_answer_invalid"),
        ("foreign_accounts", 502, "bank_answer_invalid"),
        ("foreign_key", 502, "bank_answer_invalid"),
        ("wrong_nonce", 502, "bank_answer_invalid"),
    ],
)
def test_a_bank_that_lies_is_not_believed_and_its_consent_is_ended(
    stage: Stage, lie: Any, status: int, code: str
) -> None:
    started = stage.started()
    stage.bank(IPE).faults.plan(FaultPlan(lies={lie}))
    location = stage.browser.agree(started["authorisation_url"], CPFS[ANA])
    problem(stage.come_back(location), status, code)
    nothing_linked(stage)
    assert stage.consent_of().status == "REJECTED"


def granting(permissions: list[str], status: str) -> Callable[[Call, Answer], Answer]:
    """A bank whose consents in this state have these permissions."""

    def bend(call: Call, answer: Answer) -> Answer:
        if "/consents/v3/consents" not in call.url or call.method == "DELETE":
            return answer
        document = json.loads(answer.body)
        if document["data"]["status"] == status:
            document["data"]["permissions"] = permissions
        return Answer(answer.status, answer.headers, json.dumps(document).encode())

    return bend


PARTS = [["ACCOUNTS_READ"], [], ["ACCOUNTS_READ", "RESOURCES_READ"], [*BALANCES, "LOANS_READ"]]


@pytest.mark.parametrize("permissions", PARTS, ids=["one", "none", "no figures", "one too many"])
@pytest.mark.parametrize("when", ["AWAITING_AUTHORISATION", "AUTHORISED"])
def test_a_bank_that_grants_part_of_a_group_is_not_linked(
    stage: Stage, permissions: list[str], when: str
) -> None:
    stage.wire.bend = granting(permissions, when)
    if when == "AWAITING_AUTHORISATION":
        problem(stage.post("/links", {"bank": IPE}), 502, "bank_answer_invalid")
    else:
        location = stage.browser.agree(stage.started()["authorisation_url"], CPFS[ANA])
        problem(stage.come_back(location), 502, "bank_answer_invalid")
    nothing_linked(stage)


def test_a_bank_may_leave_out_a_whole_group(stage: Stage) -> None:
    stage.wire.bend = granting(BALANCES, "AUTHORISED")
    assert stage.linked()["permissions"] == sorted(BALANCES)


@pytest.mark.parametrize("interaction", ["missing", "changed"])
@pytest.mark.parametrize("path", ["/consents", "/resources", "/accounts"])
def test_an_answer_without_our_interaction_id_was_never_said(
    stage: Stage, path: str, interaction: Any
) -> None:
    plan = FaultPlan(faults=[Fault(path=path, interaction=interaction)])
    if path == "/consents":
        stage.bank(IPE).faults.plan(plan)
        problem(stage.post("/links", {"bank": IPE}), 502, "bank_answer_invalid")
    else:
        started = stage.started()
        stage.bank(IPE).faults.plan(plan)
        location = stage.browser.agree(started["authorisation_url"], CPFS[ANA])
        problem(stage.come_back(location), 502, "bank_answer_invalid")
    nothing_linked(stage)


@pytest.mark.parametrize("status", [500, 503, 529, 429])
def test_a_bank_that_cannot_is_unavailable_and_may_be_asked_again(stage: Stage, status: int) -> None:
    stage.bank(IPE).faults.plan(FaultPlan(faults=[Fault(path="/consents", status=status, times=1)]))
    answer = stage.post("/links", {"bank": IPE}, key="again")
    problem(answer, 503, "bank_unavailable")
    assert answer.headers["retry-after"] == "5"
    assert stage.post("/links", {"bank": IPE}, key="again").status_code == 201


def test_a_discovery_document_of_another_issuer_is_refused(stage: Stage) -> None:
    def bend(call: Call, answer: Answer) -> Answer:
        if "openid-configuration" not in call.url:
            return answer
        document = json.loads(answer.body) | {"issuer": "http://banks.test/elsewhere"}
        return Answer(answer.status, answer.headers, json.dumps(document).encode())

    stage.wire.bend = bend
    problem(stage.post("/links", {"bank": IPE}), 502, "bank_answer_invalid")
    assert stage.bank(IPE).consents == {}


# --- after it is linked -------------------------------------------------------------------------


def test_what_is_not_yours_is_not_there(stage: Stage) -> None:
    link = stage.linked()
    problem(stage.get(f"/links/{link['link_id']}", BETO), 404, "link_not_found")
    problem(stage.delete(f"/links/{link['link_id']}", BETO), 404, "link_not_found")
    account = link["accounts"][0]["account_id"]
    problem(stage.get(f"/linked-accounts/{account}/entries", BETO), 404, "account_not_found")
    assert stage.get("/linked-accounts", BETO).json() == {"accounts": []}
    assert stage.consent_of().status == "AUTHORISED"


@pytest.mark.parametrize("path", ["/banks", "/links", "/payment-initiations", "/linked-accounts"])
def test_nobody_sees_anything_without_a_token(stage: Stage, path: str) -> None:
    problem(stage.api.get(path), 401, "unauthenticated")


def test_revoking_here_ends_the_consent_there_and_all_that_it_let_us_have(stage: Stage) -> None:
    link = stage.linked()
    stage.get("/linked-accounts")
    stage.get(f"/linked-accounts/{link['accounts'][0]['account_id']}/entries")
    assert {"TOKENS", "FIGURES"} <= {item["sk"]["S"].partition("#")[0] for item in stage.items()}
    assert stage.delete(f"/links/{link['link_id']}").status_code == 204
    assert stage.delete(f"/links/{link['link_id']}").status_code == 204
    consent = stage.consent_of()
    assert (consent.status, consent.rejection.code) == ("REJECTED", "CUSTOMER_MANUALLY_REVOKED")
    kept = {item["sk"]["S"].partition("#")[0] for item in stage.items()}
    assert kept <= {"CLIENT", "LINK", "CALLS"}
    assert [item for item in stage.items() if item["pk"]["S"].startswith(("MOV#", "ACCOUNT#"))] == []


def test_a_link_is_not_closed_here_while_its_bank_does_not_answer(stage: Stage) -> None:
    link = stage.linked()
    stage.wire.dead.add("/consents/")
    problem(stage.delete(f"/links/{link['link_id']}"), 503, "bank_unavailable")
    stage.wire.dead.clear()
    assert stage.get(f"/links/{link['link_id']}").json()["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("status", "code", "ended"),
    [
        (422, "CONSENTIMENTO_EM_STATUS_REJEITADO", True),
        (404, "NAO_ENCONTRADO", True),
        (422, "ERRO_NAO_MAPEADO", False),
        (400, "CONSENTIMENTO_EM_STATUS_REJEITADO", False),
        (403, "NAO_PERMITIDO", False),
    ],
)
def test_only_a_consent_that_has_ended_counts_as_revoked(
    stage: Stage, status: int, code: str, *, ended: bool
) -> None:
    link = stage.linked()

    def bend(call: Call, answer: Answer) -> Answer:
        if call.method != "DELETE":
            return answer
        return Answer(status, answer.headers, json.dumps({"errors": [{"code": code}]}).encode())

    stage.wire.bend = bend
    answer = stage.delete(f"/links/{link['link_id']}")
    if ended:
        assert answer.status_code == 204
    else:
        assert problem(answer, 409, "bank_refused")["bank_code"] == code
    found = stage.get("/links").json()["links"][0]["status"]
    assert found == ("REVOKED" if ended else "ACTIVE")


@pytest.mark.parametrize("look", ["link", "balances"])
def test_revoking_there_ends_the_link_here(stage: Stage, look: str) -> None:
    link = stage.linked()
    assert (
        stage.browser.client.delete(f"/admin/ipe/consents/{stage.consent_of().consent_id}").status_code == 204
    )
    if look == "balances":
        assert stage.get("/linked-accounts").json() == {"accounts": []}
    ended = stage.get(f"/links/{link['link_id']}").json()
    assert (ended["status"], ended["reason"]) == ("REVOKED", "CUSTOMER_MANUALLY_REVOKED")
    assert stage.get("/linked-accounts").json() == {"accounts": []}
    assert not [item for item in stage.items() if item["sk"]["S"] == "TOKENS"]


@pytest.mark.parametrize("interaction", [None, "00000000-0000-4000-8000-000000000000"])
def test_a_no_without_our_interaction_id_ends_no_link(stage: Stage, interaction: str | None) -> None:
    link = stage.linked()
    headers = {} if interaction is None else {"x-fapi-interaction-id": interaction}

    def bend(call: Call, answer: Answer) -> Answer:
        if "/consents/v3/consents/" not in call.url:
            return answer
        return Answer(404, headers, b'{"errors":[{"code":"NAO_ENCONTRADO"}]}')

    stage.wire.bend = bend
    assert stage.get(f"/links/{link['link_id']}").json()["status"] == "ACTIVE"
    assert [item for item in stage.items() if item["sk"]["S"] == "TOKENS"]


def test_a_consent_is_asked_for_seldom_however_often_its_link_is_looked_at() -> None:
    with staged(fresh_seconds=60, bank_deadline_ms=30_000) as stage:
        link = stage.linked()
        stage.time.skip(seconds=60)
        before = stage.wire.asked("/consents/v3/consents/")
        for _ in range(3):
            assert stage.get(f"/links/{link['link_id']}").json()["status"] == "ACTIVE"
        assert stage.wire.asked("/consents/v3/consents/") == before + 1
        stage.browser.client.delete(f"/admin/ipe/consents/{stage.consent_of().consent_id}")
        stage.time.skip(seconds=60)
        assert stage.get(f"/links/{link['link_id']}").json()["status"] == "REVOKED"


def test_an_access_token_that_is_over_is_refreshed(stage: Stage) -> None:
    stage.linked()
    stage.time.skip(minutes=20)
    before = stage.wire.asked("/token")
    assert not any(each["stale"] for each in stage.get("/linked-accounts").json()["accounts"])
    assert stage.wire.asked("/token") > before


def test_a_bank_that_has_forgotten_us_is_registered_with_again(stage: Stage) -> None:
    stage.started()
    stage.bank(IPE).oauth.clients.clear()
    stage.time.skip(minutes=20)
    assert stage.post("/links", {"bank": IPE}).status_code == 201
    assert stage.wire.asked("/register") == 2


def test_a_second_link_is_asked_for_under_the_same_registration(stage: Stage) -> None:
    stage.started()
    stage.started()
    assert stage.wire.asked("/register") == 1


def test_nothing_of_a_bank_is_readable_in_the_store(stage: Stage) -> None:
    link = stage.linked()
    stage.get("/linked-accounts")
    account = stage.bank(IPE).customers[CPFS[ANA]].accounts[0]
    stage.get(f"/linked-accounts/{link['accounts'][0]['account_id']}/entries")
    text = json.dumps(stage.items(), ensure_ascii=False)
    secrets = {
        CPFS[ANA],
        stage.consent_of().consent_id,
        account.account_id,
        account.number,
        "232105",
        "Salário",
        *stage.bank(IPE).oauth._access,
        *stage.bank(IPE).oauth._refresh,
    }
    assert {each for each in secrets if each in text} == set()


def test_a_replayed_code_ends_the_tokens_that_it_gave(stage: Stage) -> None:
    started = stage.started()
    location = stage.browser.agree(started["authorisation_url"], CPFS[ANA])
    assert location.startswith(PUBLIC_URL)
    exchange: list[Call] = []

    def bend(call: Call, answer: Answer) -> Answer:
        if b"authorization_code" in (call.body or b""):
            exchange.append(call)
        return answer

    stage.wire.bend = bend
    assert stage.come_back(location).status_code == 200
    bank = stage.bank(IPE)
    assert len(exchange) == 1
    code = bank.oauth._codes[query_of(location)["code"]]
    client = code.request.client
    with pytest.raises(Exception, match="invalid_grant"):
        bank.oauth.exchange(client, {"code": query_of(location)["code"]})
    assert not [each for each in bank.oauth._access.values() if each.consent_id is not None]


@pytest.mark.parametrize("look", ["/links/{link_id}", "/links", "/linked-accounts/{account}/entries"])
def test_who_links_with_a_consent_for_a_day_has_it_and_what_it_gave_for_a_day(look: str) -> None:
    with staged(fresh_seconds=0) as stage:
        link = stage.linked(expires_at=(START + timedelta(days=1)).isoformat())
        stage.get("/linked-accounts")
        stage.get(f"/linked-accounts/{link['accounts'][0]['account_id']}/entries")
        own = [item for item in stage.items() if item["sk"]["S"].startswith(("TOKENS", "FIGURES#", "READ#"))]
        own += [item for item in stage.items() if item["pk"]["S"].startswith(("MOV#", "ACCOUNT#"))]
        assert len(own) >= 1 + 2 + 1 + 5 + 2
        assert {item.get("ttl", {}).get("N") for item in own} == {
            str(int((START + timedelta(days=1)).timestamp()))
        }
        stage.time.skip(days=1)
        assert stage.get(look.format(account=link["accounts"][0]["account_id"], **link)).status_code < 500
        kept = {item["sk"]["S"].partition("#")[0] for item in stage.items()}
        assert kept <= {"CLIENT", "LINK", "CALLS"}, "the first look deletes them"
        assert not [item for item in stage.items() if item["pk"]["S"].startswith(("MOV#", "ACCOUNT#"))]
        assert stage.get(f"/links/{link['link_id']}").json()["status"] == "EXPIRED"
        assert stage.get("/linked-accounts").json() == {"accounts": []}
