"""A QR code is paid like what it names: a key here or elsewhere, or a charge, once and before it expires."""

import uuid
from datetime import timedelta

import pytest

from apps.ledger.account import SETTLEMENT, Refusal, internal_item
from apps.ledger.charge import Charge
from apps.pix import br_code, outgoing
from apps.pix.br_code import DynamicCode, StaticCode
from apps.pix.spi import Party
from apps.transaction.destination import Found, QrCode
from apps.transaction.qr_codes import ADDRESS, ChargeWish
from tests.apps.ledger.bank import GRANT_CENTS, Bank, fake_bank
from tests.apps.transaction.fake_directory import MARIA, MARIAS_KEY

BETOS_KEY = "beto@example.com"


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


def by(text: str) -> QrCode:
    return QrCode(text, "Bearer of ana")


def static(key: str, cents: int | None = None, txid: str | None = None) -> QrCode:
    return by(br_code.encode(StaticCode(key, "Maria", "SP", cents, txid)))


def charged(bank: Bank, account_id: str, cents: int = 700) -> Charge:
    wish = ChargeWish("beto", uuid.uuid4().hex, account_id, cents, None, timedelta(hours=1), None)
    charge, found = bank.qr_codes.charge(wish)
    assert not found
    return charge


def refused(bank: Bank, payer: str, to: QrCode, cents: int) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        bank.pay("ana", payer, to, cents)
    return refusal.value


def used(bank: Bank, account_id: str) -> dict[str, int]:
    balance = bank.ledger.balance(account_id)
    assert balance is not None
    return dict(balance.used.periods)


def test_a_static_code_of_another_bank_leaves_with_its_key_and_its_txid(bank: Bank) -> None:
    ana = bank.rich("ana")
    transfer = bank.pay("ana", ana, static(MARIAS_KEY, 300, "pedido42"), 300).transfer
    assert transfer.payee == internal_item(SETTLEMENT, transfer.transfer_id)
    assert transfer.payment is not None
    said = outgoing.read(transfer.payment)
    assert (said.instrument, said.key, said.txid) == ("QRES", MARIAS_KEY, "pedido42")
    assert said.creditor == MARIA
    ((key, end_to_end_id, authorization),) = bank.directory.asked
    assert (key, end_to_end_id, authorization) == (MARIAS_KEY, transfer.end_to_end_id, "Bearer of ana")


def test_a_static_code_of_somebody_here_is_a_transfer_between_accounts_here(bank: Bank) -> None:
    ana, beto = bank.rich("ana"), bank.rich("beto")
    party = Party("99999010", "12345678909", "000000027", "SVGS", "0001", "Beto")
    bank.directory.found[BETOS_KEY] = Found(BETOS_KEY, party, beto)
    transfer = bank.pay("ana", ana, static(BETOS_KEY), 300).transfer
    assert (transfer.payee, transfer.payment) == (beto, None)
    bank.settle_all()
    assert bank.available(beto) == GRANT_CENTS + 300


def test_what_a_company_elsewhere_is_paid_counts_in_the_limit_of_companies(bank: Bank) -> None:
    ana = bank.rich("ana")
    company = Party("60701190", "11222333000181", "12345", "CACC", "0001", "Loja")
    bank.directory.found["11222333000181"] = Found("11222333000181", company, None)
    bank.pay("ana", ana, static("11222333000181"), 300)
    bank.pay("ana", ana, static(MARIAS_KEY), 200)
    assert used(bank, ana) == {"2026-11-25/legal": 300, "2026-11-25/day": 200}


def test_a_code_that_names_an_amount_is_paid_with_that_and_nobody_is_asked_before(bank: Bank) -> None:
    ana = bank.rich("ana")
    refusal = refused(bank, ana, static(MARIAS_KEY, 300), 299)
    assert (refusal.code, refusal.facts) == ("qr_code_amount", {"amount_cents": 300})
    assert bank.directory.asked == []


def test_a_charge_is_paid_once(bank: Bank) -> None:
    ana, beto = bank.rich("ana"), bank.rich("beto")
    charge = charged(bank, beto)
    transfer = bank.pay("ana", ana, by(charge.code), 700, "key").transfer
    assert (transfer.payee, transfer.charge_id) == (beto, charge.charge_id)
    assert refused(bank, ana, by(charge.code), 700).code == "qr_code_paid"
    assert bank.pay("ana", ana, by(charge.code), 700, "key").replayed
    bank.settle_all()
    assert bank.available(beto) == GRANT_CENTS + 700
    assert refused(bank, ana, by(charge.code), 700).code == "qr_code_paid"
    assert bank.directory.asked == []
    assert bank.auditor.audit().ok


def test_a_charge_that_has_expired_is_refused_for_good(bank: Bank) -> None:
    ana, beto = bank.rich("ana"), bank.rich("beto")
    charge = charged(bank, beto)
    bank.time.moment += timedelta(hours=1)
    refusal = refused(bank, ana, by(charge.code), 700)
    assert (refusal.code, refusal.facts) == ("qr_code_expired", {"expired_at": charge.expires_at})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (br_code.encode(StaticCode(MARIAS_KEY, "Maria", "SP")).replace("Maria", "Mario"), "qr_code_tampered"),
        (br_code.encode(DynamicCode("pix.outro.com/v2/abc", "Loja", "SP")), "qr_code_foreign"),
        (br_code.encode(DynamicCode(ADDRESS + "0" * 32, "Loja", "SP")), "qr_code_unknown"),
        ("0002016304", "qr_code_tampered"),
    ],
    ids=["changed", "of another bank", "of nobody", "cut off"],
)
def test_a_code_that_cannot_be_paid_says_why_and_asks_nobody(bank: Bank, text: str, code: str) -> None:
    ana = bank.rich("ana")
    assert refused(bank, ana, by(text), 300).code == code
    assert bank.directory.asked == []
    assert bank.available(ana) == GRANT_CENTS


def test_who_has_not_the_money_is_told_so_before_the_code_is_read(bank: Bank) -> None:
    ana, beto = bank.rich("ana"), bank.rich("beto")
    charge = charged(bank, beto, GRANT_CENTS + 1)
    assert refused(bank, ana, by(charge.code), GRANT_CENTS + 1).code == "insufficient_funds"


def test_nobody_pays_their_own_charge(bank: Bank) -> None:
    beto = bank.rich("beto")
    charge = charged(bank, beto)
    with pytest.raises(Refusal) as refusal:
        bank.pay("beto", beto, by(charge.code), 700)
    assert refusal.value.code == "same_account"
    found = bank.ledger.charges.find(charge.charge_id)
    assert found is not None
    assert found.taken_by is None
