"""Keys of customers: here and at the DICT the same, whatever gets lost on the way."""

from typing import Any

import pytest

from apps.dict_key.client import DictDown, DictRefused
from apps.dict_key.items import Registration
from apps.dict_key.refusals import Refusal
from apps.dict_key.registration import KeyRequest, KeyReused
from apps.kit.dynamo import OutcomeUnknown
from apps.pix.keys import Key, KeyType, classify
from tests.apps.dict_key.desk import ANAS, ANAS_SECOND, BETOS, COMPANY, COMPANYS, TAX_IDS, Desk, desk
from tests.apps.dict_key.directory import OTHER, THEIRS, lost
from tests.apps.kit.faulty_dynamo import Faulty, conflict, lose_reply, lose_request
from tests.apps.serving import ANA, BETO

PHONE, CPF = classify("+5511987654321"), classify(TAX_IDS[ANA])


def request(
    key: Key | None = PHONE,
    *,
    subject: str = ANA,
    account: str = ANAS,
    idempotency_key: str = "k",
    key_type: KeyType | None = None,
) -> KeyRequest:
    return KeyRequest(subject, idempotency_key, account, key_type or (key.type if key else "EVP"), key)


def register(at: Desk, wish: KeyRequest) -> Registration:
    return at.service.registrations.register(wish)[0]


def used(at: Desk, account: str = ANAS) -> int:
    """How many keys the account is counted to have."""
    key = {"pk": {"S": f"account#{account}"}, "sk": {"S": "COUNT"}}
    item = at.raw.get_item(TableName="keys", Key=key).get("Item")
    return int(item["used"]["N"]) if item else 0


def due(at: Desk) -> int:
    return sum(item["sk"]["S"] == "DUE" for item in at.items())


@pytest.mark.parametrize("key", [PHONE, CPF, classify("ana@exemplo.com"), None], ids=repr)
def test_a_key_is_held_at_the_dict_and_here(key: Key | None) -> None:
    at = desk()
    made = register(at, request(key))
    assert made.status == "ACTIVE"
    (entry,) = at.directory.entries.values()
    assert at.service.store.entry(entry.key) == made.entry
    assert (entry.key, entry.account, entry.owner) == (made.pix_key, made.account, made.holder)
    assert (used(at), due(at)) == (1, 0)
    listed, _ = at.service.store.owned_by(ANA)
    assert listed == [made]


def test_the_same_request_again_is_the_same_key_and_asks_the_dict_once() -> None:
    at = desk()
    first, replayed = at.service.registrations.register(request(None))
    again, replayed_again = at.service.registrations.register(request(None))
    assert (first, replayed, replayed_again) == (again, False, True)
    assert at.directory.calls("create_entry") == 1


def test_an_idempotency_key_of_another_request_is_refused() -> None:
    at = desk()
    register(at, request(PHONE))
    with pytest.raises(KeyReused):
        register(at, request(CPF))


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_lost_answer_leaves_it_open_and_the_same_request_finds_out(where: str) -> None:
    at = desk()
    getattr(at.directory, where).append(lost())
    with pytest.raises(DictDown):
        register(at, request(None))
    assert at.service.store.owned_by(ANA)[0][0].status == "PENDING"
    made = register(at, request(None))
    assert made.status == "ACTIVE"
    assert len(at.directory.entries) == 1
    asked = [call[2] for call in at.directory.asked]
    assert asked == [made.request_id] * 2
    assert (used(at), due(at)) == (1, 0)


@pytest.mark.parametrize("where", ["before", "after"])
def test_what_nobody_asks_for_again_is_taken_up_when_it_is_due(where: str) -> None:
    at = desk()
    getattr(at.directory, where).append(lost())
    with pytest.raises(DictDown):
        register(at, request(PHONE))
    at.chores.once()
    assert at.service.store.entry(PHONE) is None
    at.clock.pass_by(seconds=31)
    at.chores.once()
    assert at.service.store.entry(PHONE) is not None
    assert (used(at), due(at)) == (1, 0)


@pytest.mark.parametrize("fault", [lose_reply, lose_request], ids=["reply", "request"])
@pytest.mark.parametrize("nth", [0, 1], ids=["reserving", "activating"])
def test_a_store_that_loses_an_answer_loses_no_key(fault: Any, nth: int) -> None:
    at = desk()
    faulty = Faulty(at.raw, "transact_write_items", [])
    again = desk(client=faulty, raw=at.raw)
    passing: list[Any] = [lambda _, call: call()] * nth
    faulty.faults = [*passing, fault, conflict, conflict]
    try:
        made = register(again, request(PHONE))
    except OutcomeUnknown:
        made = register(again, request(PHONE))
    assert made.status == "ACTIVE"
    assert (used(again), due(again)) == (1, 0)
    assert again.service.store.entry(PHONE) == again.service.store.owned_by(ANA)[0][0].entry


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        ("EntryInvalid", "invalid_key"),
        ("EntryLimitExceeded", "key_limit"),
        ("EntryAlreadyExists", "key_exists"),
        ("EntryKeyOwnedByDifferentPerson", "key_taken"),
        ("EntryKeyInCustodyOfDifferentParticipant", "key_taken"),
        ("EntryLockedByClaim", "key_locked"),
        ("EntryBlocked", "key_refused"),
        ("SomethingNew", "key_refused"),
    ],
)
def test_a_refusal_of_the_dict_is_told_in_our_words_kept_and_frees_the_key(refused: str, code: str) -> None:
    at = desk()
    at.directory.before = [DictRefused(400, refused)]
    for _ in range(2):
        with pytest.raises(Refusal) as refusal:
            register(at, request(PHONE))
        assert refusal.value.code == code
        assert refusal.value.facts["dict_code"] == refused
    assert at.directory.calls("create_entry") == 1
    assert (used(at), due(at)) == (0, 0)
    assert register(at, request(PHONE, idempotency_key="another")).status == "ACTIVE"


def test_the_way_out_of_a_taken_key_is_named() -> None:
    at = desk()
    at.directory.holds(PHONE)
    with pytest.raises(Refusal) as refusal:
        register(at, request(PHONE))
    assert refusal.value.facts["claim_type"] == "OWNERSHIP"
    at.directory.holds(CPF, at.service.holders.holding(ANAS).owner)  # type: ignore[union-attr]
    with pytest.raises(Refusal) as refusal:
        register(at, request(CPF, idempotency_key="c"))
    assert refusal.value.facts["claim_type"] == "PORTABILITY"


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (request(classify("11144477735")), "key_not_yours"),
        (request(classify("11222333000181")), "key_not_yours"),
        (request(account=BETOS), "account_not_found"),
        (request(account="00000000-0000-4000-8000-000000000000"), "account_not_found"),
    ],
    ids=["another's CPF", "another's CNPJ", "another's account", "no account"],
)
def test_what_is_not_the_callers_is_refused_before_the_dict_is_asked(wish: KeyRequest, code: str) -> None:
    at = desk()
    with pytest.raises(Refusal) as refusal:
        register(at, wish)
    assert refusal.value.code == code
    assert at.directory.asked == []
    assert at.items() == []


def test_a_company_registers_its_alphanumeric_cnpj() -> None:
    at = desk()
    key = classify(TAX_IDS[COMPANY])
    assert register(at, request(key, subject=COMPANY, account=COMPANYS)).key == "12ABC34501DE35"


@pytest.mark.parametrize(
    ("subject", "account", "most"), [(ANA, ANAS, 5), (COMPANY, COMPANYS, 20)], ids=["person", "company"]
)
def test_an_account_has_as_many_keys_as_the_rules_let_it(subject: str, account: str, most: int) -> None:
    at = desk()
    for number in range(most):
        register(at, request(None, subject=subject, account=account, idempotency_key=str(number)))
    with pytest.raises(Refusal) as refusal:
        register(at, request(None, subject=subject, account=account, idempotency_key="more"))
    assert refusal.value.code == "key_limit"
    assert at.directory.calls("create_entry") == most
    at.service.registrations.delete(subject, at.service.store.owned_by(subject)[0][0].key_id)
    register(at, request(None, subject=subject, account=account, idempotency_key="after"))
    assert used(at, account) == most


@pytest.mark.parametrize(
    ("subject", "account", "code"), [(ANA, ANAS_SECOND, "key_exists"), (BETO, BETOS, "key_taken")]
)
def test_a_key_that_is_held_here_is_refused_without_asking(subject: str, account: str, code: str) -> None:
    at = desk()
    register(at, request(PHONE))
    with pytest.raises(Refusal) as refusal:
        register(at, request(PHONE, subject=subject, account=account, idempotency_key="other"))
    assert refusal.value.code == code
    assert at.directory.calls("create_entry") == 1


def test_an_ended_key_is_gone_here_and_at_the_dict() -> None:
    at = desk()
    made = register(at, request(PHONE))
    at.service.registrations.delete(ANA, made.key_id)
    assert at.directory.entries == {}
    assert at.service.store.entry(PHONE) is None
    assert (used(at), due(at)) == (0, 0)
    with pytest.raises(Refusal) as refusal:
        at.service.registrations.delete(ANA, made.key_id)
    assert refusal.value.code == "key_not_found"


@pytest.mark.parametrize("again", ["repeated", "due"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_ending_a_key_survives_a_lost_answer(where: str, again: str) -> None:
    at = desk()
    made = register(at, request(PHONE))
    getattr(at.directory, where).append(lost())
    with pytest.raises(DictDown):
        at.service.registrations.delete(ANA, made.key_id)
    assert at.service.store.entry(PHONE) is not None
    if again == "repeated":
        at.service.registrations.delete(ANA, made.key_id)
    else:
        at.clock.pass_by(minutes=1)
        at.chores.once()
    assert (at.directory.entries, at.service.store.entry(PHONE)) == ({}, None)
    assert (used(at), due(at)) == (0, 0)


def test_a_key_that_the_dict_keeps_stays() -> None:
    at = desk()
    made = register(at, request(PHONE))
    at.directory.before = [DictRefused(400, "EntryLockedByClaim")]
    with pytest.raises(Refusal) as refusal:
        at.service.registrations.delete(ANA, made.key_id)
    assert refusal.value.code == "key_locked"
    assert at.service.store.registration(made.key_id) == made
    assert due(at) == 0


def test_a_key_that_the_dict_keeps_twice_stays_twice_and_can_end_at_last() -> None:
    at = desk()
    made = register(at, request(PHONE))
    at.directory.before = [DictRefused(400, "EntryLockedByClaim")] * 2
    for _ in range(2):
        with pytest.raises(Refusal):
            at.service.registrations.delete(ANA, made.key_id)
        assert at.service.store.registration(made.key_id) == made
    at.service.registrations.delete(ANA, made.key_id)
    assert at.service.store.entry(PHONE) is None


def test_a_key_may_come_and_go_under_one_idempotency_key() -> None:
    at = desk()
    for _ in range(3):
        made = register(at, request(PHONE))
        assert used(at) == 1
        at.service.registrations.delete(ANA, made.key_id)
        assert (used(at), at.directory.entries, at.service.store.entry(PHONE)) == (0, {}, None)


@pytest.mark.parametrize("subject", [BETO, COMPANY])
def test_nobody_ends_anothers_key(subject: str) -> None:
    at = desk()
    made = register(at, request(PHONE))
    with pytest.raises(Refusal) as refusal:
        at.service.registrations.delete(subject, made.key_id)
    assert refusal.value.code == "key_not_found"
    assert PHONE in at.directory.entries


def test_a_key_of_another_bank_is_not_ours() -> None:
    at = desk()
    at.directory.holds(PHONE)
    assert at.service.store.entry(PHONE) is None
    assert THEIRS.participant == OTHER
