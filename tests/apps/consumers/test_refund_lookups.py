"""Refunds: sending the payment that was looked up gives the tokens back, once, and changes nothing else."""

from typing import Any

import pytest

from apps.consumers.refund_lookups import Refunds
from apps.dict_key.client import NotRegistered
from apps.dict_key.registration import KeyRequest
from apps.kit.events import Event
from apps.kit.worker import Poison, TryAgain
from apps.ledger.transfer import ACCEPTED, EVENT_VERSION, HELD, REJECTED, SENT, SETTLED
from apps.pix import lookup_tokens
from apps.pix.keys import classify
from tests.apps.dict_key.desk import ANAS, COMPANY, TAX_IDS, Desk, desk
from tests.apps.dict_key.directory import STORE
from tests.apps.kit.faulty_dynamo import Faulty, conflict, lose_reply, lose_request, refuse
from tests.apps.serving import ANA, BETO

PHONE = classify("+5511987654321")
PERSON = TAX_IDS[BETO]
E2E = "E9999901020261125123412345678900"


def sent(end_to_end_id: object = E2E) -> Event:
    return Event(
        id="1",
        type=SENT,
        version=EVENT_VERSION,
        source="/test",
        subject="t",
        time="2026-11-25T12:00:00.000Z",
        data={"transfer_id": "t", "end_to_end_id": end_to_end_id},
    )


def looked_up(payer: str = PERSON) -> Desk:
    """A desk where this payer has looked a key up, down from 10 tokens."""
    at = desk()
    at.directory.holds(PHONE)
    at.set_tokens("PHONE", payer, 10)
    at.set_bucket(lookup_tokens.participant_bucket(lookup_tokens.participant_policy("A")), 1_000)
    at.service.lookup.find(PHONE, payer, E2E)
    return at


def refunds(at: Desk, client: Any = None) -> Refunds:
    return Refunds(client or at.raw, "keys", at.clock.seconds)


@pytest.mark.parametrize(
    ("payer", "user"), [(PERSON, 10), (TAX_IDS[COMPANY], 11)], ids=["a person: one", "a company: two"]
)
def test_sending_gives_the_payer_and_the_bank_their_tokens_back(payer: str, user: int) -> None:
    at = looked_up(payer)
    assert (at.tokens("PHONE", payer), at.participant_tokens()) == (9, 999)
    refunds(at).refund(sent())
    assert (at.tokens("PHONE", payer), at.participant_tokens()) == (user, 1_000)


def test_an_event_that_comes_again_gives_nothing_more() -> None:
    at = looked_up()
    for _ in range(3):
        refunds(at).refund(sent())
    assert (at.tokens("PHONE", PERSON), at.participant_tokens()) == (10, 1_000)


@pytest.mark.parametrize("fault", [lose_reply, lose_request, conflict], ids=["reply", "request", "conflict"])
def test_a_lost_answer_gives_back_once(fault: Any) -> None:
    at = looked_up()
    faulty = Faulty(at.raw, "transact_write_items", [fault, conflict])
    refunds(at, faulty).refund(sent())
    assert (at.tokens("PHONE", PERSON), at.participant_tokens()) == (10, 1_000)


def test_a_payment_that_was_not_looked_up_at_the_dict_gives_nothing_and_writes_nothing() -> None:
    at = desk()
    at.service.registrations.register(KeyRequest(ANA, "k", ANAS, "CPF", classify(TAX_IDS[ANA])))
    at.service.lookup.find(classify(TAX_IDS[ANA]), PERSON, E2E)
    before = at.items()
    refunds(at).refund(sent())
    assert at.items() == before


def test_a_cached_answer_cost_nothing_and_gives_nothing_back() -> None:
    at = desk()
    at.directory.holds(PHONE, STORE)
    at.service.lookup.find(PHONE, PERSON, E2E)
    cached = E2E[:-1] + "1"
    assert at.service.lookup.find(PHONE, PERSON, cached).source == "cache"
    before = at.items()
    refunds(at).refund(sent(cached))
    assert at.items() == before


def test_a_key_that_was_missed_is_not_refunded() -> None:
    at = desk()
    with pytest.raises(NotRegistered):
        at.service.lookup.find(PHONE, PERSON, E2E)
    before = at.items()
    refunds(at).refund(sent())
    assert at.items() == before


def test_only_the_mark_and_the_two_buckets_are_written() -> None:
    at = looked_up()
    before = {(item["pk"]["S"], item["sk"]["S"]): item for item in at.items()}
    refunds(at).refund(sent())
    after = {(item["pk"]["S"], item["sk"]["S"]): item for item in at.items()}
    changed = {place for place, item in after.items() if before.get(place) != item}
    assert {sort for _, sort in changed} == {"BUCKET", "REFUND"}
    assert (f"refund#{E2E}", "REFUND") in changed
    assert len(changed) == 3


@pytest.mark.parametrize(("tokens", "after"), [(99, 100), (100, 100), (98, 99), (-40, -39)])
def test_a_bucket_is_filled_to_its_brim_at_most_and_a_debt_is_worked_off(tokens: int, after: int) -> None:
    at = looked_up()
    at.set_tokens("PHONE", PERSON, tokens)
    refunds(at).refund(sent())
    assert at.tokens("PHONE", PERSON) == after


@pytest.mark.parametrize(("tokens", "after"), [(998, 1_000), (999, 1_000), (1_000, 1_000)])
def test_a_companys_two_do_not_overflow(tokens: int, after: int) -> None:
    at = looked_up(TAX_IDS[COMPANY])
    at.set_tokens("PHONE", TAX_IDS[COMPANY], tokens)
    refunds(at).refund(sent())
    assert at.tokens("PHONE", TAX_IDS[COMPANY]) == after


def test_a_bucket_that_changes_in_between_is_read_again() -> None:
    at = looked_up()

    def spend_first(_: str, call: Any) -> Any:
        at.set_tokens("PHONE", PERSON, 100)
        return call()

    faulty = Faulty(at.raw, "transact_write_items", [spend_first])
    refunds(at, faulty).refund(sent())
    assert (at.tokens("PHONE", PERSON), at.participant_tokens()) == (100, 1_000)


def test_a_store_that_does_not_answer_means_again_later() -> None:
    at = looked_up()
    down = refuse("InternalServerError", 500)
    with pytest.raises(TryAgain):
        refunds(at, Faulty(at.raw, "get_item", [down] * 3)).refund(sent())
    refunds(at).refund(sent())
    assert at.tokens("PHONE", PERSON) == 10


@pytest.mark.parametrize("value", [None, "", 7], ids=["missing", "empty", "number"])
def test_an_event_without_its_id_is_poison(value: object) -> None:
    with pytest.raises(Poison):
        refunds(looked_up()).refund(sent(value))


def test_only_sending_gives_back() -> None:
    at = looked_up()
    handlers = refunds(at).handlers()
    assert set(handlers) == {SENT}
    assert refunds(at).skips() == dict.fromkeys((HELD, ACCEPTED, SETTLED, REJECTED), EVENT_VERSION)
    version, refund = handlers[SENT]
    refund(sent())
    assert (version, at.tokens("PHONE", PERSON)) == (EVENT_VERSION, 10)
