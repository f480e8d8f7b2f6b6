"""Claims: a key changes hands only by the DICT's states, and both banks' customers are asked."""

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from apps.dict_key import claim_rules
from apps.dict_key.claim_rules import Action
from apps.dict_key.claims import ClaimRequest
from apps.dict_key.client import DictDown, DictRefused
from apps.dict_key.entry import Account, Claim, ClaimStatus, ClaimType, Owner, RecordStatus, Role
from apps.dict_key.items import ClaimRecord
from apps.dict_key.refusals import Refusal
from apps.dict_key.registration import KeyRequest, KeyReused
from apps.pix.keys import Key, KeyType, classify
from tests.apps.dict_key.desk import ANAS, BETOS, TAX_IDS, Desk, desk
from tests.apps.dict_key.directory import BRUNA, OTHER, OURS, THEIRS, lost
from tests.apps.serving import ANA, BETO

PHONE = classify("+5511987654321")
ANA_ELSEWHERE = Owner(TAX_IDS[ANA], "Ana Souza")


def wish(claim_type: ClaimType = "PORTABILITY", key: Key = PHONE, idempotency_key: str = "k") -> ClaimRequest:
    return ClaimRequest(ANA, idempotency_key, ANAS, claim_type, key)


def claimed(at: Desk, claim_type: ClaimType = "PORTABILITY") -> ClaimRecord:
    """Ana's claim for a key that another bank has."""
    at.directory.holds(PHONE, ANA_ELSEWHERE if claim_type == "PORTABILITY" else BRUNA)
    return at.service.claims.open(wish(claim_type))[0]


def held_here(at: Desk) -> str:
    """Ana's key, here."""
    return at.service.registrations.register(KeyRequest(ANA, "own", ANAS, "PHONE", PHONE))[0].key_id


def wanted_elsewhere(at: Desk, claim_type: ClaimType) -> ClaimRecord:
    """Another bank's claim for Ana's key, as our list shows it."""
    held_here(at)
    owner = ANA_ELSEWHERE if claim_type == "PORTABILITY" else BRUNA
    at.directory.create_claim(claim_type, PHONE, THEIRS, owner)
    at.chores.once()
    (record,) = at.service.store.owned_by(ANA)[1]
    return record


def at_dict(at: Desk, record: ClaimRecord) -> ClaimStatus:
    assert record.dict_id is not None
    return at.directory.open_claims[record.dict_id].status


def now_kept(at: Desk, record: ClaimRecord) -> RecordStatus:
    found = at.service.store.claim(record.claim_id)
    assert found is not None
    return found.status


def due(at: Desk) -> int:
    return sum(item["sk"]["S"] == "DUE" for item in at.items())


# --- the rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim_type", "types"),
    [("PORTABILITY", {"CPF", "CNPJ", "PHONE", "EMAIL"}), ("OWNERSHIP", {"PHONE"})],
)
def test_only_some_keys_can_be_claimed(claim_type: ClaimType, types: set[str]) -> None:
    assert {each for each in get_args(KeyType) if claim_rules.claimable(claim_type, each)} == types


def test_a_claim_only_goes_forward() -> None:
    order: list[RecordStatus] = ["PENDING", "OPEN", "WAITING_RESOLUTION", "CONFIRMED", "COMPLETED"]
    for before, after in product(order, order):
        if order.index(after) <= order.index(before):
            assert not claim_rules.follows(before, after)
    for before in order[1:4]:
        assert claim_rules.follows(before, "CANCELLED")
    finals = {each for each in (*order, "CANCELLED", "REFUSED") if claim_rules.final(each)}
    assert finals == {"COMPLETED", "CANCELLED", "REFUSED"}


@pytest.mark.parametrize(
    ("action", "role", "claim_type", "states"),
    [
        ("confirm", "DONOR", "PORTABILITY", {"WAITING_RESOLUTION"}),
        ("confirm", "DONOR", "OWNERSHIP", {"WAITING_RESOLUTION"}),
        ("confirm", "CLAIMER", "PORTABILITY", set()),
        ("cancel", "DONOR", "PORTABILITY", {"WAITING_RESOLUTION"}),
        ("cancel", "DONOR", "OWNERSHIP", set()),
        ("cancel", "CLAIMER", "PORTABILITY", {"OPEN", "WAITING_RESOLUTION"}),
        ("cancel", "CLAIMER", "OWNERSHIP", {"OPEN", "WAITING_RESOLUTION", "CONFIRMED"}),
        ("complete", "CLAIMER", "OWNERSHIP", {"CONFIRMED"}),
        ("complete", "DONOR", "OWNERSHIP", set()),
    ],
)
def test_each_side_may_do_what_the_dict_lets_it(
    action: Action, role: Role, claim_type: ClaimType, states: set[str]
) -> None:
    found = {each for each in get_args(ClaimStatus) if claim_rules.allowed(action, role, claim_type, each)}
    assert found == states


# --- as claimer ---------------------------------------------------------------------------------


def test_a_portability_brings_the_key_here_once_the_donor_confirms() -> None:
    at = desk()
    record = claimed(at)
    assert (record.status, at.service.store.entry(PHONE)) == ("OPEN", None)
    assert record.dict_id is not None
    at.directory.step("Acknowledge", record.dict_id)
    at.chores.once()
    assert now_kept(at, record) == "WAITING_RESOLUTION"
    at.directory.step("Confirm", record.dict_id)
    at.chores.once()
    assert (at_dict(at, record), now_kept(at, record)) == ("COMPLETED", "COMPLETED")
    entry = at.service.store.entry(PHONE)
    assert entry is not None
    assert entry.account_id == ANAS
    assert at.directory.entries[PHONE].account.participant == OURS
    assert [each.key for each in at.service.store.owned_by(ANA)[0]] == [PHONE.value]
    assert due(at) == 0


def test_an_ownership_waits_for_its_claimer_to_complete_it() -> None:
    at = desk()
    record = claimed(at, "OWNERSHIP")
    assert record.dict_id is not None
    for step in ("Acknowledge", "Confirm"):
        at.directory.step(step, record.dict_id)
    at.chores.once()
    assert now_kept(at, record) == "CONFIRMED"
    assert at.service.store.entry(PHONE) is None
    assert at.service.claims.act(ANA, record.claim_id, "complete").status == "COMPLETED"
    assert at.service.store.entry(PHONE) is not None


def test_a_claimer_may_give_up() -> None:
    at = desk()
    record = claimed(at)
    for _ in range(2):
        assert at.service.claims.act(ANA, record.claim_id, "cancel").status == "CANCELLED"
    assert at_dict(at, record) == "CANCELLED"


def test_a_claim_that_the_donor_cancels_ends_here_too() -> None:
    at = desk()
    record = claimed(at)
    assert record.dict_id is not None
    at.directory.step("Cancel", record.dict_id)
    at.chores.once()
    assert now_kept(at, record) == "CANCELLED"
    with pytest.raises(Refusal) as refusal:
        at.service.claims.act(ANA, record.claim_id, "complete")
    assert refusal.value.code == "claim_not_possible"


def test_the_same_request_again_is_the_same_claim() -> None:
    at = desk()
    first = claimed(at)
    again, replayed = at.service.claims.open(wish())
    assert (again, replayed) == (first, True)
    assert at.directory.calls("create_claim") == 1
    with pytest.raises(KeyReused):
        at.service.claims.open(wish("OWNERSHIP"))


@pytest.mark.parametrize("again", ["repeated", "due"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_claim_whose_answer_was_lost_is_found_again(where: str, again: str) -> None:
    at = desk()
    at.directory.holds(PHONE, ANA_ELSEWHERE)
    getattr(at.directory, where).append(lost())
    with pytest.raises(DictDown):
        at.service.claims.open(wish())
    if again == "repeated":
        at.service.claims.open(wish())
    else:
        at.clock.pass_by(minutes=1)
        at.chores.once()
    (claim,) = at.directory.open_claims.values()
    (record,) = at.service.store.owned_by(ANA)[1]
    assert (record.status, record.dict_id) == ("OPEN", claim.claim_id)
    assert due(at) == 0


def test_somebody_elses_claim_is_not_taken_for_ours() -> None:
    at = desk()
    at.directory.holds(PHONE, ANA_ELSEWHERE)
    at.directory.before = [lost()]
    with pytest.raises(DictDown):
        at.service.claims.open(wish())
    third = Account("60701190", "0001", "999", "CACC", "2020-01-10T03:00:00Z")
    at.directory.create_claim("PORTABILITY", PHONE, third, ANA_ELSEWHERE)
    with pytest.raises(Refusal) as refusal:
        at.service.claims.open(wish())
    assert refusal.value.code == "key_locked"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (wish("OWNERSHIP", classify("ana@exemplo.com")), "claim_not_possible"),
        (wish("OWNERSHIP", classify(TAX_IDS[ANA])), "claim_not_possible"),
        (wish("PORTABILITY", classify("123e4567-e89b-12d3-a456-426655440000")), "claim_not_possible"),
        (wish("PORTABILITY", classify(TAX_IDS[BETO])), "key_not_yours"),
        (replace(wish(), account_id=BETOS), "account_not_found"),
        (wish("PORTABILITY", classify("+5521999999999")), "key_not_found"),
    ],
    ids=["e-mail", "CPF", "random", "another's CPF", "another's account", "nobody's"],
)
def test_what_cannot_be_claimed_is_refused(request_: ClaimRequest, code: str) -> None:
    at = desk()
    for _ in range(2):
        with pytest.raises(Refusal) as refusal:
            at.service.claims.open(request_)
        assert refusal.value.code == code
    assert at.directory.calls("create_claim") <= 1
    assert due(at) == 0


# --- as donor -----------------------------------------------------------------------------------


@pytest.mark.parametrize("claim_type", ["PORTABILITY", "OWNERSHIP"])
def test_a_claim_for_our_customers_key_is_acknowledged_and_shown_and_the_key_still_works(
    claim_type: ClaimType,
) -> None:
    at = desk()
    record = wanted_elsewhere(at, claim_type)
    assert (record.role, record.status, at_dict(at, record)) == (
        "DONOR",
        "WAITING_RESOLUTION",
        "WAITING_RESOLUTION",
    )
    assert at.service.store.entry(PHONE) is not None


@pytest.mark.parametrize("claim_type", ["PORTABILITY", "OWNERSHIP"])
def test_a_donors_customer_who_confirms_loses_the_key_at_once(claim_type: ClaimType) -> None:
    at = desk()
    record = wanted_elsewhere(at, claim_type)
    assert at.service.claims.act(ANA, record.claim_id, "confirm").status == "CONFIRMED"
    assert at.service.store.entry(PHONE) is None
    assert at.service.store.owned_by(ANA)[0] == []
    assert due(at) == 0


def test_a_donors_customer_may_refuse_portability_and_keeps_the_key() -> None:
    at = desk()
    record = wanted_elsewhere(at, "PORTABILITY")
    assert at.service.claims.act(ANA, record.claim_id, "cancel").status == "CANCELLED"
    assert at.service.store.entry(PHONE) is not None
    assert due(at) == 0


@pytest.mark.parametrize(
    ("claim_type", "status", "kept"), [("PORTABILITY", "CANCELLED", True), ("OWNERSHIP", "CONFIRMED", False)]
)
def test_a_claim_that_nobody_answers_is_decided_when_its_period_ends(
    claim_type: ClaimType, status: str, *, kept: bool
) -> None:
    at = desk()
    record = wanted_elsewhere(at, claim_type)
    at.clock.pass_by(days=7, seconds=-1)
    at.chores.once()
    assert at_dict(at, record) == "WAITING_RESOLUTION"
    at.clock.pass_by(seconds=2)
    at.chores.once()
    assert (at_dict(at, record), now_kept(at, record)) == (status, status)
    assert (at.service.store.entry(PHONE) is not None) == kept
    assert at.directory.asked[-1][1] == "DEFAULT_OPERATION"
    assert due(at) == 0


def test_nobody_acts_on_a_claim_that_is_not_theirs() -> None:
    at = desk()
    record = wanted_elsewhere(at, "PORTABILITY")
    for subject, action in ((BETO, "confirm"), (BETO, "cancel")):
        with pytest.raises(Refusal) as refusal:
            at.service.claims.act(subject, record.claim_id, action)  # type: ignore[arg-type]
        assert refusal.value.code == "claim_not_found"
    assert at_dict(at, record) == "WAITING_RESOLUTION"


def test_a_claim_for_a_key_that_is_not_held_here_harms_nobody() -> None:
    at = desk()
    at.directory.holds(PHONE, BRUNA, Account(OURS, "0001", "1", "CACC", "2020-01-10T03:00:00Z"))
    at.directory.create_claim("PORTABILITY", PHONE, THEIRS, BRUNA)
    at.chores.once()
    assert at.service.store.owned_by(ANA) == ([], [])


# --- the list -----------------------------------------------------------------------------------


def test_the_list_is_read_from_where_it_ended_with_a_minute_of_overlap() -> None:
    at = desk()
    wanted_elsewhere(at, "PORTABILITY")
    at.clock.pass_by(hours=3)
    at.directory.asked.clear()
    at.chores.once()
    (asked,) = (call[1] for call in at.directory.asked if call[0] == "claims")
    assert asked > "2026"
    assert at.directory.calls("Acknowledge") == 0


def test_a_claim_that_could_not_be_handled_comes_again() -> None:
    at = desk()
    held_here(at)
    at.directory.create_claim("PORTABILITY", PHONE, THEIRS, ANA_ELSEWHERE)
    at.directory.before = [DictDown("timeout")]
    at.chores.once()
    assert at.service.store.owned_by(ANA)[1] == []
    at.chores.once()
    assert len(at.service.store.owned_by(ANA)[1]) == 1


def test_a_claim_that_the_dict_refuses_does_not_hold_the_others_up() -> None:
    at = desk()
    held_here(at)
    email = classify("ana@exemplo.com")
    at.service.registrations.register(KeyRequest(ANA, "mail", ANAS, "EMAIL", email))
    for key in (PHONE, email):
        at.directory.create_claim("PORTABILITY", key, THEIRS, ANA_ELSEWHERE)
    calls = 0
    act = at.directory.act_on_claim

    def refusing(name: str, claim_id: str, **more: object) -> Claim:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise DictRefused(409, "ClaimOperationInvalid")
        return act(name, claim_id, **more)  # type: ignore[arg-type]

    at.directory.act_on_claim = refusing  # type: ignore[method-assign]
    at.chores.once()
    assert len(at.service.store.owned_by(ANA)[1]) == 1


def test_two_processes_that_read_the_list_at_once_do_it_once() -> None:
    at = desk()
    record = wanted_elsewhere(at, "PORTABILITY")
    for _ in range(3):
        at.chores.once()
    assert at.service.store.owned_by(ANA)[1] == [record]
    assert at.directory.calls("Acknowledge") == 1
    assert OTHER != OURS
