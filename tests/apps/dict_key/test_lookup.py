"""Look-ups: where a key's answer comes from, what it costs, and what is kept of it."""

import threading
from datetime import timedelta

import pytest

from apps.dict_key.budget import Exhausted
from apps.dict_key.client import DictDown, DictLimited, DictRefused, NotRegistered
from apps.dict_key.lookup import Resolved
from apps.dict_key.registration import KeyRequest
from apps.kit.dynamo import Unavailable
from apps.pix import lookup_tokens
from apps.pix.keys import Key, classify
from tests.apps.dict_key.desk import ANAS, TAX_IDS, Desk, desk
from tests.apps.dict_key.directory import BRUNA, STORE
from tests.apps.kit.faulty_dynamo import Faulty, refuse
from tests.apps.serving import ANA, BETO

PERSON, COMPANY = TAX_IDS[BETO], "12ABC34501DE35"
PHONE, EMAIL = classify("+5511987654321"), classify("bruna@exemplo.com")
CNPJ = classify("11222333000181")
E2E = "E9999901020261125123412345678900"


def find(at: Desk, key: Key = PHONE, payer: str = PERSON, end_to_end_id: str = E2E) -> Resolved:
    return at.service.lookup.find(key, payer, end_to_end_id)


def kinds(at: Desk) -> list[str]:
    """What kinds of item stand in the table."""
    return sorted(item["sk"]["S"] for item in at.items())


def test_a_key_of_ours_is_answered_without_the_dict_and_costs_nothing() -> None:
    at = desk()
    at.service.registrations.register(KeyRequest(ANA, "k", ANAS, "CPF", classify(TAX_IDS[ANA])))
    at.directory.asked.clear()
    found = find(at, classify(TAX_IDS[ANA]))
    assert (found.source, found.entry.account_id) == ("own", ANAS)
    assert at.directory.asked == []
    assert at.tokens("CPF", PERSON) == 100


def test_the_dict_is_told_who_pays_and_with_which_payment() -> None:
    at = desk()
    at.directory.holds(PHONE)
    found = find(at)
    assert (found.source, found.entry.owner) == ("dict", BRUNA)
    assert at.directory.asked == [("look_up", PHONE.value, PERSON, E2E)]


@pytest.mark.parametrize(
    ("key", "payer", "registered", "user", "bank"),
    [
        (PHONE, PERSON, True, 99, 49_999),
        (PHONE, PERSON, False, 80, 49_997),
        (CNPJ, COMPANY, True, 999, 49_999),
        (CNPJ, COMPANY, False, 980, 49_997),
    ],
    ids=["found", "missed", "found by a company", "missed by a company"],
)
def test_finding_costs_one_and_missing_twenty_and_three(
    key: Key, payer: str, user: int, bank: int, *, registered: bool
) -> None:
    at = desk()
    if registered:
        at.directory.holds(key, STORE if key == CNPJ else BRUNA)
        find(at, key, payer)
    else:
        with pytest.raises(NotRegistered):
            find(at, key, payer)
    assert (at.tokens(key.type, payer), at.participant_tokens()) == (user, bank)
    # The other bucket of the payer is not touched.
    assert at.tokens("EVP" if key == PHONE else "PHONE", payer) in {100, 1_000}


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (DictRefused(400, "EntryInvalid"), 100),
        (DictRefused(403, "Forbidden"), 100),
        (DictLimited(), 100),
        (DictDown("unreachable"), 100),
        (DictDown("unavailable", 7), 100),
        (DictDown("timeout"), 99),
        (DictDown("bad_answer"), 99),
    ],
    ids=["400", "403", "429", "unreachable", "503", "timeout", "bad answer"],
)
def test_only_what_bacen_counts_is_charged_and_no_answer_counts(answer: Exception, left: int) -> None:
    at = desk()
    at.directory.before = [answer]
    with pytest.raises(type(answer)):
        find(at)
    assert at.tokens("PHONE", PERSON) == left
    assert at.participant_tokens() == 49_900 + left
    assert "LOOKUP" not in kinds(at)


def test_the_last_token_may_go_far_below_zero_and_then_we_refuse_before_bacen_does() -> None:
    at = desk()
    at.set_tokens("PHONE", PERSON, 5)
    with pytest.raises(NotRegistered):
        find(at)
    assert at.tokens("PHONE", PERSON) == -15
    at.directory.asked.clear()
    with pytest.raises(Exhausted) as exhausted:
        find(at)
    assert (exhausted.value.of_user, exhausted.value.retry_after) == (True, 8 * 60)
    assert at.directory.asked == []
    at.clock.pass_by(seconds=8 * 60 - 1)
    with pytest.raises(Exhausted):
        find(at)
    at.clock.pass_by(seconds=1)
    with pytest.raises(NotRegistered):
        find(at)


def test_the_bank_itself_runs_out_and_the_payer_keeps_the_token() -> None:
    at = desk(category="H")
    policy = lookup_tokens.participant_policy("H")
    at.set_bucket(lookup_tokens.participant_bucket(policy), 0)
    with pytest.raises(Exhausted) as exhausted:
        find(at)
    assert (exhausted.value.of_user, exhausted.value.retry_after) == (False, 60)
    assert at.tokens("PHONE", PERSON) == 100
    assert at.directory.asked == []


def test_look_ups_at_once_do_not_share_the_last_token() -> None:
    at = desk()
    at.directory.holds(PHONE)
    at.set_tokens("PHONE", PERSON, 3)
    outcomes: list[str] = []

    def ask() -> None:
        try:
            find(at)
        except Exhausted:
            outcomes.append("refused")
        else:
            outcomes.append("found")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(outcomes) == ["found"] * 3 + ["refused"] * 5
    assert at.directory.calls("look_up") == 3
    assert at.tokens("PHONE", PERSON) == 0


@pytest.mark.parametrize(
    ("max_age", "after", "source"),
    [
        (60, 59, "cache"),
        (60, 60, "dict"),
        (3_600, 179, "cache"),
        (3_600, 180, "dict"),
        (0, 0, "dict"),
    ],
)
def test_a_companys_key_is_kept_as_long_as_the_dict_says_and_three_minutes_at_most(
    max_age: int, after: int, source: str
) -> None:
    at = desk()
    at.directory.holds(CNPJ, STORE)
    at.directory.max_age = max_age
    first = find(at, CNPJ)
    spent = at.tokens("CNPJ", PERSON)
    at.clock.pass_by(seconds=after)
    again = find(at, CNPJ)
    assert (again.source, again.entry) == (source, first.entry)
    if source == "cache":
        assert at.directory.calls("look_up") == 1
        assert at.tokens("CNPJ", PERSON) >= spent
        assert kinds(at).count("LOOKUP") == 1


@pytest.mark.parametrize("key", [PHONE, EMAIL], ids=["phone", "e-mail"])
def test_a_persons_answer_is_never_kept(key: Key) -> None:
    at = desk()
    at.directory.holds(key)
    at.directory.max_age = 3_600
    for _ in range(2):
        assert find(at, key).source == "dict"
    assert "CACHE" not in kinds(at)


def test_a_companys_phone_is_kept_like_its_cnpj_and_its_place_does_not_show_the_key() -> None:
    at = desk()
    at.directory.holds(PHONE, STORE)
    find(at)
    assert find(at).source == "cache"
    assert not any(PHONE.value in item["pk"]["S"] for item in at.items())
    assert not any(PERSON in item["pk"]["S"] for item in at.items())


def test_a_look_up_is_remembered_for_its_payment() -> None:
    at = desk()
    at.directory.holds(PHONE)
    find(at)
    (record,) = (item for item in at.items() if item["sk"]["S"] == "LOOKUP")
    assert record["pk"]["S"] == f"lookup#{E2E}"
    assert int(record["ttl"]["N"]) - at.clock.seconds() > timedelta(days=1).total_seconds()


def test_a_payer_gets_the_answer_even_if_it_cannot_be_noted() -> None:
    at = desk()
    at.directory.holds(PHONE)
    down = refuse("InternalServerError", 500)
    faulty = Faulty(at.raw, "put_item", [down] * 10)
    again = desk(client=faulty, raw=at.raw)
    again.directory.holds(PHONE)
    assert find(again).source == "dict"


def test_a_store_that_is_away_asks_nobody() -> None:
    at = desk()
    faulty = Faulty(at.raw, "update_item", [refuse("InternalServerError", 500)] * 10)
    again = desk(client=faulty, raw=at.raw)
    again.directory.holds(PHONE)
    with pytest.raises(Unavailable):
        find(again)
    assert again.directory.asked == []


def test_a_token_is_taken_though_a_refund_holds_the_bucket_for_a_moment() -> None:
    at = desk()
    faulty = Faulty(at.raw, "update_item", [refuse("TransactionConflictException")] * 2)
    again = desk(client=faulty, raw=at.raw)
    again.directory.holds(PHONE)
    assert find(again).source == "dict"
