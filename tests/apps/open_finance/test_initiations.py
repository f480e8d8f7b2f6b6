"""Paying from another bank: once however often it is tried, followed to its end, never by anybody else."""

import json
from datetime import date
from typing import Any

import pytest
from httpx2 import Response

from apps.kit.outbound import Answer, Call, NoAnswer
from apps.simulators.other_bank.faults import Fault, FaultPlan
from apps.simulators.other_bank.signatures import verified
from tests.apps.open_finance.stage import CPFS, IPE, JATOBA, Stage, bank_key, our_keys, query_of, staged
from tests.apps.serving import ANA, BETO, problem

STRANGER = {
    "ispb": "12345678",
    "branch": "0001",
    "number": "1234567",
    "account_type": "CACC",
    "tax_id": "11144477735",
    "name": "Beto Lima",
}


def body(link: dict[str, Any], **more: Any) -> dict[str, Any]:
    asked = {
        "from_account": link["accounts"][0]["account_id"],
        "to": {"bank": STRANGER},
        "amount_cents": 5_000,
    }
    return asked | more


def asked(stage: Stage, bank: str = IPE, **more: Any) -> dict[str, Any]:
    """An initiation that waits for its user."""
    answer = stage.post("/payment-initiations", body(stage.linked(bank), **more))
    assert answer.status_code == 201, answer.text
    initiation: dict[str, Any] = answer.json()
    assert initiation["status"] == "AWAITING_AUTHORISATION", initiation
    return initiation


def agreed(stage: Stage, initiation: dict[str, Any]) -> Response:
    location = stage.browser.agree(initiation["authorisation_url"], CPFS[ANA], first_only=True)
    return stage.come_back(location)


def looked_at(stage: Stage, initiation: dict[str, Any], subject: str = ANA) -> dict[str, Any]:
    answer = stage.get(f"/payment-initiations/{initiation['payment_initiation_id']}", subject)
    found: dict[str, Any] = answer.json()
    return found


def spent(stage: Stage, bank: str = IPE) -> int:
    """What has left the payer's account for good or is blocked."""
    account = stage.bank(bank).customers[CPFS[ANA]].accounts[0]
    return 232_105 - account.available_cents


@pytest.mark.parametrize("bank", [IPE, JATOBA], ids=["without checks", "held for checks"])
def test_a_payment_is_followed_until_it_is_final(stage: Stage, bank: str) -> None:
    initiation = asked(stage, bank, description="Almoço")
    assert agreed(stage, initiation).json()["status"] == "PROCESSING"
    statuses = []
    for _ in range(10):
        statuses.append(looked_at(stage, initiation)["bank_status"])
        stage.time.skip(seconds=0.2)
    assert statuses[0] == "RCVD"
    assert statuses[-1] == "ACSC"
    assert ("PDNG" in statuses) is (bank == JATOBA)
    assert looked_at(stage, initiation)["status"] == "SETTLED"
    assert spent(stage, bank) == 5_000
    calls = len(stage.wire.calls)
    looked_at(stage, initiation)
    assert len(stage.wire.calls) == calls, "what is final is not asked for again"


def test_a_settled_payment_is_seen_at_once_on_both_sides_of_it() -> None:
    with staged(fresh_seconds=3600, bank_deadline_ms=30_000) as stage:
        payee = stage.bank(JATOBA).customers[CPFS[ANA]].accounts[0]
        stage.linked(JATOBA)
        own = {
            "ispb": "99999102",
            "number": payee.number + payee.check_digit,
            "tax_id": CPFS[ANA],
            "name": "Ana Souza",
        }
        initiation = asked(stage, IPE, to={"bank": STRANGER | own})

        def seen() -> dict[str, list[int]]:
            found: dict[str, list[int]] = {}
            for each in stage.get("/linked-accounts").json()["accounts"]:
                found.setdefault(each["institution"], []).append(each["available_cents"])
            return found

        before = seen()
        agreed(stage, initiation)
        assert seen() == before, "what was read a moment ago is still fresh"
        stage.time.skip(seconds=2)
        assert looked_at(stage, initiation)["status"] == "SETTLED"
        after = seen()
        assert after["Banco Ipê"][0] == before["Banco Ipê"][0] - 5_000
        assert after["Jatobá Pagamentos"][0] == before["Jatobá Pagamentos"][0] + 5_000


def test_a_replayed_key_answers_the_first_initiation(stage: Stage) -> None:
    wish = body(stage.linked())
    first = stage.post("/payment-initiations", wish, key="once")
    again = stage.post("/payment-initiations", wish, key="once")
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert [each.kind for each in stage.bank(IPE).consents.values()] == ["data", "payment"]
    other = stage.post("/payment-initiations", wish | {"amount_cents": 5_001}, key="once")
    problem(other, 422, "idempotency_key_reused", final=True)


def test_a_lost_answer_to_the_consent_is_asked_for_again_under_the_same_key(stage: Stage) -> None:
    wish = body(stage.linked())
    stage.bank(IPE).faults.plan(
        FaultPlan(faults=[Fault(path="/payments/v4/consents", lose_answer=True, times=1)])
    )
    problem(stage.post("/payment-initiations", wish, key="once"), 503, "bank_unavailable")
    assert stage.post("/payment-initiations", wish, key="once").status_code == 201
    assert [each.kind for each in stage.bank(IPE).consents.values()] == ["data", "payment"]


def test_a_lost_answer_to_the_payment_pays_once(stage: Stage) -> None:
    initiation = asked(stage)
    stage.bank(IPE).faults.plan(FaultPlan(faults=[Fault(path="/pix/payments", lose_answer=True, times=2)]))
    assert agreed(stage, initiation).json()["status"] == "PROCESSING"
    assert looked_at(stage, initiation)["bank_status"] is None
    assert looked_at(stage, initiation)["bank_status"] == "RCVD"
    assert len(stage.bank(IPE).payments) == 1
    stage.time.skip(seconds=5)
    assert looked_at(stage, initiation)["status"] == "SETTLED"
    assert spent(stage) == 5_000


def test_an_order_that_never_arrived_is_sent_when_it_is_looked_at(stage: Stage) -> None:
    initiation = asked(stage)
    stage.wire.dead.add("/pix/payments")
    assert agreed(stage, initiation).json()["status"] == "PROCESSING"
    assert stage.bank(IPE).payments == {}
    stage.wire.dead.clear()
    assert looked_at(stage, initiation)["bank_status"] == "RCVD"
    assert len(stage.bank(IPE).payments) == 1


def test_a_used_consent_after_a_lost_answer_is_no_refusal(stage: Stage) -> None:
    initiation = asked(stage)
    stage.bank(IPE).faults.plan(FaultPlan(faults=[Fault(path="/pix/payments", lose_answer=True, times=1)]))
    agreed(stage, initiation)
    # A bank that forgets idempotency keys refuses the copy; the original stands.
    stage.bank(IPE)._answered.clear()
    assert looked_at(stage, initiation)["status"] == "PROCESSING"
    assert spent(stage) == 5_000


def test_five_minutes_are_all_that_there_is_to_authorise(stage: Stage) -> None:
    initiation = asked(stage)
    location = stage.browser.agree(initiation["authorisation_url"], CPFS[ANA], first_only=True)
    stage.time.skip(minutes=4, seconds=59)
    assert looked_at(stage, initiation)["status"] == "AWAITING_AUTHORISATION"
    stage.time.skip(seconds=1)
    assert looked_at(stage, initiation)["status"] == "EXPIRED"
    before = len(stage.wire.calls)
    problem(stage.come_back(location), 400, "callback_refused")
    stage.follow()
    assert len(stage.wire.calls) == before
    assert (stage.bank(IPE).payments, spent(stage)) == ({}, 0)
    assert looked_at(stage, initiation)["status"] == "EXPIRED"


def test_a_bank_that_forgot_our_own_token_is_asked_with_a_new_one(stage: Stage) -> None:
    own = stage.bank(IPE).oauth._access

    def forget() -> None:
        for text in [text for text, each in own.items() if each.consent_id is None]:
            del own[text]

    wish = body(stage.linked())
    stage.post("/payment-initiations", wish)
    forget()
    answer = stage.post("/payment-initiations", wish)
    assert answer.status_code == 201, answer.text
    stage.bank(IPE).faults.plan(FaultPlan(lies={"stuck"}))
    agreed(stage, answer.json())
    stage.time.skip(seconds=1)
    forget()
    assert looked_at(stage, answer.json())["bank_status"] == "PDNG"
    forget()
    path = f"/payment-initiations/{answer.json()['payment_initiation_id']}"
    assert stage.delete(path).json()["status"] == "CANCELLED"


def test_an_hour_after_the_yes_an_order_that_was_never_taken_ends(stage: Stage) -> None:
    initiation = asked(stage)
    stage.wire.dead.add("/pix/payments")
    agreed(stage, initiation)
    stage.wire.dead.clear()
    stage.time.skip(minutes=61)
    ended = looked_at(stage, initiation)
    assert (ended["status"], stage.bank(IPE).payments) == ("REJECTED", {})
    assert spent(stage) == 0


def test_a_user_who_says_no_has_paid_nothing(stage: Stage) -> None:
    initiation = asked(stage)
    page = stage.browser.open(initiation["authorisation_url"])
    inside = stage.browser.submit(page, ("cpf", CPFS[ANA]), ("password", "ipe-amarelo"))
    answer = stage.browser.submit(inside, ("decision", "deny"))
    problem(stage.come_back(answer.headers["location"]), 400, "callback_refused")
    ended = looked_at(stage, initiation)
    assert (ended["status"], ended["reason"]) == ("REJECTED", "access_denied")
    assert stage.bank(IPE).payments == {}


def test_a_bank_refuses_a_payer_whose_cpf_is_not_the_consents(stage: Stage) -> None:
    initiation = asked(stage)
    location = stage.browser.agree(initiation["authorisation_url"], CPFS[BETO])
    problem(stage.come_back(location), 400, "callback_refused")
    assert looked_at(stage, initiation)["status"] == "REJECTED"
    assert stage.bank(IPE).payments == {}


def test_a_links_answer_pays_nothing_and_a_payments_answer_links_nothing(stage: Stage) -> None:
    initiation, link = asked(stage), stage.started(JATOBA)
    location = stage.browser.agree(link["authorisation_url"], CPFS[ANA])
    state = query_of(initiation["authorisation_url"]).get("state", "unknown")
    problem(stage.come_back(location, state=state), 400, "callback_refused")
    assert stage.bank(IPE).payments == {}


@pytest.mark.parametrize("lie", ["foreign_key", "wrong_nonce", "another_customer"])
def test_a_yes_that_is_not_proven_orders_nothing(stage: Stage, lie: Any) -> None:
    initiation = asked(stage)
    stage.bank(IPE).faults.plan(FaultPlan(lies={lie}))
    problem(agreed(stage, initiation), 502, "bank_answer_invalid")
    assert stage.bank(IPE).payments == {}
    assert looked_at(stage, initiation)["status"] == "REJECTED"


@pytest.mark.parametrize("lie", ["foreign_key"])
def test_a_consent_signed_by_another_key_is_not_believed(stage: Stage, lie: Any) -> None:
    wish = body(stage.linked())
    stage.bank(IPE).faults.plan(FaultPlan(lies={lie}))
    problem(stage.post("/payment-initiations", wish), 502, "bank_answer_invalid")


def test_an_answer_about_another_amount_settles_nothing(stage: Stage) -> None:
    initiation = asked(stage)
    agreed(stage, initiation)
    stage.bank(IPE).faults.plan(FaultPlan(lies={"another_amount"}))
    stage.time.skip(seconds=5)
    assert looked_at(stage, initiation)["status"] == "PROCESSING"
    stage.bank(IPE).faults.plan(FaultPlan())
    assert looked_at(stage, initiation)["status"] == "SETTLED"


def test_a_bank_that_rejects_later_says_why_and_gives_the_money_back(stage: Stage) -> None:
    initiation = asked(stage)
    agreed(stage, initiation)
    stage.bank(IPE).faults.plan(FaultPlan(lies={"refuse_payments"}))
    stage.time.skip(seconds=5)
    ended = looked_at(stage, initiation)
    assert (ended["status"], ended["reason"]) == ("REJECTED", "PAGAMENTO_RECUSADO_DETENTORA")
    assert spent(stage) == 0


def test_too_little_money_is_refused_by_the_bank(stage: Stage) -> None:
    initiation = asked(stage, amount_cents=10_000_000)
    assert agreed(stage, initiation).json()["status"] == "REJECTED"
    assert looked_at(stage, initiation)["reason"] == "SALDO_INSUFICIENTE"
    assert spent(stage) == 0


@pytest.mark.parametrize("interaction", ["missing", "changed"])
def test_a_refusal_without_our_interaction_id_decides_nothing(stage: Stage, interaction: str) -> None:
    initiation = asked(stage)

    def bend(call: Call, answer: Answer) -> Answer:
        if call.method != "POST" or "/pix/payments" not in call.url:
            return answer
        headers = {} if interaction == "missing" else {"x-fapi-interaction-id": "another call's"}
        return Answer(422, headers, b'{"errors":[{"code":"SALDO_INSUFICIENTE"}]}')

    stage.wire.bend = bend
    assert agreed(stage, initiation).json()["status"] == "PROCESSING"
    stage.wire.bend = lambda _, answer: answer
    assert looked_at(stage, initiation)["bank_status"] == "RCVD"
    stage.time.skip(seconds=5)
    assert looked_at(stage, initiation)["status"] == "SETTLED"
    assert spent(stage) == 5_000


def test_what_a_bank_refuses_to_be_asked_for_is_a_rejected_initiation_whenever_it_is_asked(
    stage: Stage,
) -> None:
    wish = body(stage.linked(), to={"bank": STRANGER | {"number": "0" * 20}})

    def bend(call: Call, answer: Answer) -> Answer:
        if call.method != "POST" or "/payments/v4/consents" not in call.url:
            return answer
        return Answer(422, answer.headers, b'{"errors":[{"code":"DETALHE_PAGAMENTO_INVALIDO"}]}')

    stage.wire.bend = bend
    answers = [stage.post("/payment-initiations", wish, key="once") for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 201]
    assert {each.json()["reason"] for each in answers} == {"DETALHE_PAGAMENTO_INVALIDO"}


# --- cancelling -----------------------------------------------------------------------------------


def test_a_payment_held_for_checks_can_be_cancelled(stage: Stage) -> None:
    initiation = asked(stage)
    stage.bank(IPE).faults.plan(FaultPlan(lies={"stuck"}))
    agreed(stage, initiation)
    stage.time.skip(seconds=1)
    assert looked_at(stage, initiation)["bank_status"] == "PDNG"
    path = f"/payment-initiations/{initiation['payment_initiation_id']}"
    assert stage.delete(path).json()["status"] == "CANCELLED"
    assert spent(stage) == 0
    problem(stage.delete(path), 409, "not_cancellable")


def test_a_settled_payment_cannot_be_cancelled(stage: Stage) -> None:
    initiation = asked(stage)
    agreed(stage, initiation)
    stage.time.skip(seconds=5)
    problem(
        stage.delete(f"/payment-initiations/{initiation['payment_initiation_id']}"), 409, "not_cancellable"
    )
    assert spent(stage) == 5_000


def test_a_payment_that_waits_for_its_user_can_be_taken_back(stage: Stage) -> None:
    initiation = asked(stage)
    path = f"/payment-initiations/{initiation['payment_initiation_id']}"
    assert stage.delete(path).json()["status"] == "CANCELLED"
    problem(agreed(stage, initiation), 400, "callback_refused")
    assert stage.bank(IPE).payments == {}


def test_a_scheduled_payment_waits_for_its_day_and_can_be_cancelled_until_then(stage: Stage) -> None:
    initiation = asked(stage, scheduled_for="2026-11-30")
    agreed(stage, initiation)
    assert looked_at(stage, initiation)["status"] == "SCHEDULED"
    stage.time.skip(days=2)
    assert looked_at(stage, initiation)["status"] == "SCHEDULED"
    assert (
        stage.delete(f"/payment-initiations/{initiation['payment_initiation_id']}").json()["status"]
        == "CANCELLED"
    )
    assert spent(stage) == 0


def test_a_payment_of_another_day_is_named_for_that_day(stage: Stage) -> None:
    initiation = asked(stage, scheduled_for="2026-12-24")
    assert initiation["end_to_end_id"][:21] == "E99999101202612241500"


def test_a_scheduled_payment_is_made_on_its_day(stage: Stage) -> None:
    initiation = asked(stage, scheduled_for="2026-11-26")
    agreed(stage, initiation)
    stage.time.skip(days=1)
    looked_at(stage, initiation)
    stage.time.skip(seconds=5)
    assert looked_at(stage, initiation)["status"] == "SETTLED"


# --- who, and what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"amount_cents": 0}, "body.amount_cents"),
        ({"amount_cents": -1}, "body.amount_cents"),
        ({"amount_cents": 10.0001}, "body.amount_cents"),
        ({"amount_cents": "5000"}, "body.amount_cents"),
        ({"to": {}}, "body.to"),
        ({"to": {"key": "a", "bank": STRANGER}}, "body.to"),
        ({"to": {"bank": STRANGER | {"ispb": "1"}}}, "body.to.bank.ispb"),
        ({"to": {"bank": STRANGER | {"number": "12-3"}}}, "body.to.bank.number"),
        ({"to": {"bank": STRANGER | {"tax_id": "1114447773"}}}, "body.to.bank.tax_id"),
        ({"description": "a\nb"}, "body.description"),
        ({"scheduled_for": "2026-11-25"}, "body.scheduled_for"),
        ({"scheduled_for": "2026-11-24"}, "body.scheduled_for"),
        ({"scheduled_for": "2029-01-01"}, "body.scheduled_for"),
        ({"cpf": "1"}, "body.cpf"),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_a_bad_wish_says_where_and_asks_no_bank(stage: Stage, change: dict[str, Any], where: str) -> None:
    link = stage.linked()
    answer = stage.post("/payment-initiations", body(link) | change)
    assert [each["where"] for each in problem(answer, 422, "invalid_request")["errors"]] == [where]
    assert stage.wire.asked("/payments/") == 0


def test_nobody_pays_from_anothers_account_nor_sees_anothers_payment(stage: Stage) -> None:
    link = stage.linked()
    problem(stage.post("/payment-initiations", body(link), BETO), 404, "account_not_found")
    initiation = stage.post("/payment-initiations", body(link)).json()
    path = f"/payment-initiations/{initiation['payment_initiation_id']}"
    problem(stage.get(path, BETO), 404, "payment_initiation_not_found")
    problem(stage.delete(path, BETO), 404, "payment_initiation_not_found")
    assert stage.get("/payment-initiations", BETO).json() == {"payment_initiations": []}
    listed = stage.get("/payment-initiations").json()["payment_initiations"]
    assert [each["payment_initiation_id"] for each in listed] == [initiation["payment_initiation_id"]]


def test_a_link_that_has_ended_pays_nothing(stage: Stage) -> None:
    link = stage.linked()
    stage.delete(f"/links/{link['link_id']}")
    answer = stage.post("/payment-initiations", body(link))
    assert answer.json()["code"] in {"account_not_found", "link_not_active"}
    assert stage.wire.asked("/payments/") == 0


def test_an_order_is_signed_for_this_bank_and_has_reais_with_two_decimals(stage: Stage) -> None:
    sent: list[str] = []

    def bend(call: Call, answer: Answer) -> Answer:
        if call.method == "POST" and call.url.endswith("/payments/v4/consents"):
            sent.append((call.body or b"").decode())
        return answer

    stage.wire.bend = bend
    asked(stage, amount_cents=5)
    claims = verified(sent[0], {"keys": [our_keys().signer().jwk]})
    assert claims["data"]["payment"]["amount"] == "0.05"
    assert claims["aud"] == "http://banks.test/ipe/open-banking/payments/v4/consents"
    assert claims["data"]["payment"]["date"] == date(2026, 11, 25).isoformat()
    assert claims["data"]["debtorAccount"]["ispb"] == "99999101"


def test_a_signed_answer_for_somebody_else_is_refused(stage: Stage) -> None:
    wish = body(stage.linked())

    def bend(call: Call, answer: Answer) -> Answer:
        if call.method != "POST" or not call.url.endswith("/payments/v4/consents"):
            return answer
        claims = verified(answer.body.decode(), {"keys": [bank_key().jwk]}) | {"aud": "another organisation"}
        return Answer(answer.status, answer.headers, bank_key().sign(claims).encode())

    stage.wire.bend = bend
    problem(stage.post("/payment-initiations", wish), 502, "bank_answer_invalid")


def test_nothing_of_a_payment_is_readable_in_the_store(stage: Stage) -> None:
    initiation = asked(stage, description="Segredo")
    agreed(stage, initiation)
    text = json.dumps(stage.items(), ensure_ascii=False)
    assert {
        each for each in ("Segredo", "Beto Lima", "11144477735", CPFS[ANA], "1234567") if each in text
    } == set()


def test_no_answer_at_all_leaves_the_initiation_to_be_repeated(stage: Stage) -> None:
    wish = body(stage.linked())

    def bend(call: Call, answer: Answer) -> Answer:
        if "/payments/v4/consents" in call.url:
            raise NoAnswer("lost")
        return answer

    stage.wire.bend = bend
    problem(stage.post("/payment-initiations", wish, key="once"), 503, "bank_unavailable")
    stage.wire.bend = lambda _, answer: answer
    assert stage.post("/payment-initiations", wish, key="once").json()["status"] == "AWAITING_AUTHORISATION"
