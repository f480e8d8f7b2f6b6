"""Who is paid: what leads to an account here, what leaves by Pix, and what nobody is asked for."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.kit.dynamo import Deadline
from apps.ledger.account import SETTLEMENT, Refusal, internal_item
from apps.ledger.items import Mark
from apps.pix import outgoing
from apps.pix.spi import Party
from apps.transaction.api import rendered
from apps.transaction.destination import BankAccount, Destination, Found, LookUpFailed, PixKey
from apps.transaction.request import Answer, KeyReused, Payment, Transfers
from tests.apps.transaction.fake_directory import MARIA, MARIAS_KEY, FakeDirectory, destinations
from tests.apps.transaction.fake_ledger import FakeLedger, funded

A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"
ISPB = "99999004"
ANAS = Party(ISPB, "52998224725", "000000019", "CACC", "0001", "Ana Souza")
BETOS = Party(ISPB, "12345678909", "000000027", "SVGS", "0001", "Beto Lima")
OURS = BankAccount(ISPB, "1", "000000027", "SVGS", "12345678909", "Beto Lima")
THEIRS = BankAccount("60701190", "0001", "12345", "CACC", "52998224725", "Antônio Souza")


def by(key: str) -> PixKey:
    return PixKey(key, "Bearer of ana")


class Desk:
    """The Transaction Service's rules, with a ledger and a directory that tests look into."""

    def __init__(self) -> None:
        self.ledger = FakeLedger(funded(A, "ana", 1000), funded(B, "beto", 0))
        self.directory = FakeDirectory()
        self.directory.found["beto@example.com"] = Found("beto@example.com", BETOS, B)
        self.transfers = Transfers(
            self.ledger,
            ISPB,
            timedelta(minutes=30),
            rendered,
            destinations({A: ANAS, B: BETOS}, self.directory),
        )

    def pay(self, to: Destination, cents: int = 300, subject: str = "ana", payer: str = A) -> Answer:
        return self.transfers.request(
            Payment(subject, "key", payer, to, cents, "Almoço", None), Deadline.after(5)
        )

    def refused(self, to: Destination, cents: int = 300, subject: str = "ana", payer: str = A) -> Refusal:
        with pytest.raises(Refusal) as refusal:
            self.pay(to, cents, subject, payer)
        return refusal.value


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("to", "instrument", "creditor", "key"),
    [
        pytest.param(by(MARIAS_KEY), "DICT", MARIA, MARIAS_KEY, id="key"),
        pytest.param(
            THEIRS,
            "MANU",
            Party("60701190", "52998224725", "12345", "CACC", "0001", "Antônio Souza"),
            None,
            id="bank data",
        ),
    ],
)
def test_money_for_another_bank_is_held_for_settlement_with_what_the_order_will_say(
    desk: Desk, to: Destination, instrument: str, creditor: Party, key: str | None
) -> None:
    held = desk.pay(to).transfer
    assert (held.status, held.by_spi) == ("HELD", True)
    assert held.payee == internal_item(SETTLEMENT, held.transfer_id)
    assert held.payment is not None
    paid = outgoing.read(held.payment)
    assert (paid.instrument, paid.debtor, paid.creditor, paid.key) == (instrument, ANAS, creditor, key)
    assert desk.ledger.balances[A].on_hold == 300


@pytest.mark.parametrize(
    "to", [by("beto@example.com"), OURS, replace(OURS, branch="0001")], ids=["key", "bank", "branch"]
)
def test_what_leads_to_an_account_here_is_a_transfer_between_accounts_here(
    desk: Desk, to: Destination
) -> None:
    held = desk.pay(to).transfer
    assert (held.payee, held.payee_owner, held.by_spi) == (B, "beto", False)


def test_the_look_up_names_the_payment_that_the_order_will_name(desk: Desk) -> None:
    held = desk.pay(by(MARIAS_KEY)).transfer
    assert desk.directory.asked == [(MARIAS_KEY, held.end_to_end_id, "Bearer of ana")]


@pytest.mark.parametrize(
    ("to", "code"),
    [
        pytest.param(by("nobody@example.com"), "key_not_found", id="nobody's key"),
        pytest.param(by("12345678900"), "invalid_key", id="check digits"),
        pytest.param(by("salary@example.com"), "payee_takes_no_pix", id="a salary account"),
        pytest.param(replace(OURS, tax_id="52998224725"), "payee_not_found", id="another holder"),
        pytest.param(replace(OURS, account_type="CACC"), "payee_not_found", id="another type"),
        pytest.param(replace(OURS, number="000000035"), "payee_not_found", id="no such number here"),
        pytest.param(replace(OURS, branch="2"), "payee_not_found", id="no such branch here"),
        pytest.param(by("ana@example.com"), "same_account", id="one's own key"),
    ],
)
def test_a_destination_that_cannot_be_paid_is_refused_with_a_mark(
    desk: Desk, to: Destination, code: str
) -> None:
    desk.directory.found["salary@example.com"] = Found(
        "salary@example.com", replace(MARIA, account_type="SLRY"), None
    )
    desk.directory.found["ana@example.com"] = Found("ana@example.com", ANAS, A)
    assert desk.refused(to).code == code
    (mark,) = desk.ledger.standing_at.values()
    assert isinstance(mark, Mark)
    assert desk.ledger.balances[A].on_hold == 0


@pytest.mark.parametrize(
    ("cents", "subject", "payer", "code"),
    [
        (1001, "ana", A, "insufficient_funds"),
        (300, "beto", A, "account_not_found"),
        (300, "ana", "cccccccc-0000-4000-8000-000000000000", "account_not_found"),
    ],
    ids=["funds", "another's account", "no account"],
)
def test_nobody_is_asked_for_a_payer_who_cannot_pay(
    desk: Desk, cents: int, subject: str, payer: str, code: str
) -> None:
    assert desk.refused(by(MARIAS_KEY), cents, subject, payer).code == code
    assert desk.directory.asked == []


@pytest.mark.parametrize("state", ["frozen", "blocked"])
def test_nobody_is_asked_for_an_account_that_pays_nobody(desk: Desk, state: str) -> None:
    changes = {"frozen": True} if state == "frozen" else {"status": "BLOCKED"}
    desk.ledger.balances[A] = replace(desk.ledger.balances[A], **changes)
    assert desk.refused(by(MARIAS_KEY)).code == f"account_{state}"
    assert desk.directory.asked == []


def test_a_replay_looks_nothing_up_whatever_became_of_the_key(desk: Desk) -> None:
    first = desk.pay(by(MARIAS_KEY))
    desk.directory.failure = Refusal("key_not_found", "Gone.")
    assert desk.pay(by(MARIAS_KEY)) == Answer(first.transfer, replayed=True)
    assert len(desk.directory.asked) == 1


@pytest.mark.parametrize(
    "other",
    [by("beto@example.com"), THEIRS, replace(THEIRS, number="12346"), B],
    ids=["another key", "bank data", "another number", "an account here"],
)
def test_a_key_belongs_to_one_destination(desk: Desk, other: Destination) -> None:
    desk.pay(by(MARIAS_KEY))
    with pytest.raises(KeyReused):
        desk.pay(other)


def test_the_same_destination_is_the_same_request_whoever_signs_its_token(desk: Desk) -> None:
    first = desk.pay(by(MARIAS_KEY)).transfer
    assert desk.pay(PixKey(MARIAS_KEY, "Bearer renewed")).transfer == first


def test_a_look_up_that_fails_leaves_the_key_undecided(desk: Desk) -> None:
    desk.directory.failure = LookUpFailed("dict_timeout", 1)
    with pytest.raises(LookUpFailed):
        desk.pay(by(MARIAS_KEY))
    assert desk.ledger.standing_at == {}


@pytest.mark.parametrize("to", [by(MARIAS_KEY), THEIRS], ids=["key", "bank data"])
def test_nothing_of_a_destination_shows_up_where_a_request_is_printed(desk: Desk, to: Destination) -> None:
    payment = Payment("ana", "key", A, to, 300, None, None)
    shown = repr(payment) + repr(desk.directory.found[MARIAS_KEY]) + repr(desk.pay(to).transfer)
    for secret in (MARIAS_KEY, "31827465026", "987654321", "52998224725", "Antônio", "Bearer", "12345"):
        assert secret not in shown
