"""Returns by the rail, both ways: each a transfer of its own, reserved on its original, and made once."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from apps.ledger import account
from apps.ledger.account import Refusal
from apps.ledger.transfer import Transfer
from apps.pix import outgoing, spi_reading
from apps.pix.spi import Party, PaymentReturn
from apps.simulators.bacen.faults import Fault
from apps.transaction.api import TransferView, rendered
from tests.apps.consumers.rail_stage import Stage, stage
from tests.apps.consumers.test_receive_pix import calmly, lost_answer, lost_call, put
from tests.apps.ledger.bank import GRANT_CENTS, soon
from tests.apps.simulators.bacen.scene import JOAO, MARIA, OWN

CENTS = 5_000


@pytest.fixture
def at() -> Iterator[Stage]:
    with stage() as made:
        yield made


IN_PARTS = pytest.mark.parametrize(
    "parts", [(CENTS,), (1, CENTS - 1), (2_000, 2_000, 1_000)], ids=["whole", "two", "three"]
)


# --- we give back --------------------------------------------------------------------------------


def came(at: Stage, account_id: str, cents: int = CENTS) -> Transfer:
    """A Pix from another bank that is here."""
    order_id = at.pay(account_id, cents)
    at.turn()
    here = at.here(order_id)
    assert here is not None
    assert here.status == "SETTLED"
    return here


def given_back(at: Stage, original: Transfer, cents: int) -> Transfer:
    """A return of ours, as far as it gets by itself."""
    made = at.bank.give_back("ana", original.transfer_id, cents).transfer
    at.work()
    return at.bank.standing_of(made.transfer_id)


def returns_sent(at: Stage) -> list[PaymentReturn]:
    read = [spi_reading.read(call.body) for call in at.calls if call.method == "POST" and call.body]
    return [each for each in read if isinstance(each, PaymentReturn)]


@pytest.mark.parametrize(
    "parts", [(CENTS,), (1, CENTS - 1), (2_000, 2_000, 1_000)], ids=["whole", "two", "three"]
)
def test_a_pix_goes_back_in_whole_or_in_parts(at: Stage, parts: tuple[int, ...]) -> None:
    ana = at.open()
    original = came(at, ana)
    left = CENTS
    for cents in parts:
        back = given_back(at, original, cents)
        left -= cents
        assert (back.kind, back.status, back.original_transfer_id) == (
            "return",
            "SETTLED",
            original.transfer_id,
        )
        assert at.bank.standing_of(original.transfer_id).returnable_cents == left
    assert at.balance(ana) == (GRANT_CENTS, 0)
    assert original.end_to_end_id is not None
    assert at.there(original.end_to_end_id).returned_cents == CENTS
    assert at.bank.auditor.audit().ok


def test_a_return_leaves_as_pacs_004_with_an_id_of_its_own(at: Stage) -> None:
    original = came(at, at.open())
    back = given_back(at, original, 120)
    (sent,) = returns_sent(at)
    assert sent.return_id == back.end_to_end_id
    assert sent.return_id.startswith(f"D{OWN}")
    assert (sent.end_to_end_id, sent.amount_cents, sent.reason) == (original.end_to_end_id, 120, "MD06")
    assert (sent.debtor_ispb, sent.creditor_ispb) == ("60701190", OWN)
    assert sent.description == "a test"


def test_who_gives_back_sees_to_whom_and_who_is_paid_sees_by_whom(at: Stage) -> None:
    original = came(at, at.open())
    seen = TransferView.model_validate_json(rendered(original))
    assert (seen.from_account, seen.to_account, seen.payee) == (None, original.payee, None)
    assert seen.payer is not None
    assert (seen.payer.institution.name, seen.payer.document[:4]) == ("Itaú", "***.")
    back = TransferView.model_validate_json(rendered(given_back(at, original, 1)))
    assert (back.from_account, back.to_account, back.payer) == (original.payee, None, None)
    assert back.payee is not None
    assert (back.payee.name, back.payee.institution) == (seen.payer.name, seen.payer.institution)


def test_no_more_goes_back_than_came_and_nothing_of_a_return(at: Stage) -> None:
    original = came(at, at.open())
    back = given_back(at, original, 3_000)
    with pytest.raises(Refusal, match="return_exceeds_amount"):
        at.bank.give_back("ana", original.transfer_id, 2_001)
    with pytest.raises(Refusal):
        at.bank.give_back("ana", back.transfer_id, 1)
    assert len(returns_sent(at)) == 1


@pytest.mark.parametrize(("after", "refused"), [(90 * 86_400, False), (90 * 86_400 + 1, True)])
def test_a_return_begins_within_ninety_days(at: Stage, after: int, refused: bool) -> None:
    original = came(at, at.open())
    assert original.decided_at is not None
    at.bank.time.moment += timedelta(seconds=after)
    if refused:
        with pytest.raises(Refusal, match="return_too_late"):
            at.bank.give_back("ana", original.transfer_id, 1)
    else:
        assert at.bank.give_back("ana", original.transfer_id, 1).transfer.status == "HELD"


def test_what_is_spent_cannot_be_given_back(at: Stage) -> None:
    ana = at.open()
    original = came(at, ana)
    at.send(ana, MARIA, GRANT_CENTS + CENTS)
    with pytest.raises(Refusal, match="insufficient_funds"):
        at.bank.give_back("ana", original.transfer_id, 1)


@pytest.mark.parametrize("code", ["AC03", "AC06", "AB09"])
def test_a_return_that_the_other_bank_refuses_comes_back_and_can_be_made_again(at: Stage, code: str) -> None:
    ana = at.open()
    original = came(at, ana)
    at.bacen.faults.add(Fault("payee", "reject", code=code))
    back = given_back(at, original, CENTS)
    assert back.status == "REJECTED"
    assert at.balance(ana) == (GRANT_CENTS + CENTS, 0)
    assert at.bank.standing_of(original.transfer_id).returnable_cents == CENTS
    again = given_back(at, original, CENTS)
    assert (again.status, again.end_to_end_id != back.end_to_end_id) == ("SETTLED", True)
    assert at.bank.auditor.audit().ok


@pytest.mark.parametrize("fault", [lost_answer, lost_call], ids=["answer", "call"])
@pytest.mark.parametrize("number", range(3))
def test_whichever_call_of_a_return_is_lost_it_goes_back_once(at: Stage, fault: object, number: int) -> None:
    ana = at.open()
    original = came(at, ana)
    at.faults.extend([calmly] * number + [fault])  # type: ignore[list-item]
    back = given_back(at, original, CENTS)
    for _ in range(8):
        at.pass_time(2)
        at.asking.round()
    assert at.bank.standing_of(back.transfer_id).status == "SETTLED"
    assert original.end_to_end_id is not None
    assert at.there(original.end_to_end_id).returned_cents == CENTS
    assert at.balance(ana) == (GRANT_CENTS, 0)


def test_what_the_spi_says_of_our_return_is_not_taken_for_its_payment(at: Stage) -> None:
    ana = at.open()
    original = came(at, ana)
    at.bacen.faults.add(Fault("payee", "reject", code="AC03"))
    given_back(at, original, CENTS)
    at.turn()
    assert at.bank.standing_of(original.transfer_id).status == "SETTLED"
    assert at.balance(ana) == (GRANT_CENTS + CENTS, 0)


# --- another bank gives back ----------------------------------------------------------------------


def went(at: Stage, ana: str, key: str = MARIA) -> Transfer:
    """A Pix from here that has arrived at another bank."""
    transfer_id = at.send(ana, key, CENTS)
    sent = at.bank.standing_of(transfer_id)
    assert sent.status == "SETTLED"
    at.turn()  # the SPI's own word about it
    return sent


@pytest.mark.parametrize(
    "parts", [(CENTS,), (1, CENTS - 1), (2_000, 2_000, 1_000)], ids=["whole", "two", "three"]
)
def test_a_pix_of_ours_comes_back_in_whole_or_in_parts(at: Stage, parts: tuple[int, ...]) -> None:
    ana = at.open()
    original = went(at, ana)
    assert original.end_to_end_id is not None
    left = CENTS
    for cents in parts:
        return_id = at.come_back(original.end_to_end_id, cents)
        at.turn()
        left -= cents
        back = at.here(return_id)
        assert back is not None
        assert (back.kind, back.status, back.payee, back.end_to_end_id) == (
            "return",
            "SETTLED",
            ana,
            return_id,
        )
        assert back.original_transfer_id == original.transfer_id
        assert back.returnable_cents == 0
        assert at.bank.standing_of(original.transfer_id).returnable_cents == left
    assert at.balance(ana) == (GRANT_CENTS, 0)
    assert at.bank.auditor.audit().ok


def test_a_return_is_reserved_on_its_original_as_soon_as_it_is_promised(at: Stage) -> None:
    ana = at.open()
    original = went(at, ana)
    assert original.end_to_end_id is not None
    return_id = at.come_back(original.end_to_end_id, 3_000)
    at.turn(1)
    back = at.here(return_id)
    assert back is not None
    assert back.status == "ACCEPTED"
    assert at.bank.standing_of(original.transfer_id).returnable_cents == CENTS - 3_000
    assert at.balance(ana) == (GRANT_CENTS - CENTS, 3_000)
    seen = TransferView.model_validate_json(rendered(back))
    assert seen.payer is not None
    assert seen.payer.name == "Maria da Silva"


def test_a_return_that_the_spi_does_not_settle_can_be_made_again(at: Stage) -> None:
    ana = at.open()
    original = went(at, ana)
    assert original.end_to_end_id is not None
    return_id = at.come_back(original.end_to_end_id, CENTS)
    at.faults.extend([calmly, lost_call])  # our yes is lost, and nobody says it again in time
    at.turn(1)
    at.pass_time(41)
    at.turn()
    back = at.here(return_id)
    assert back is not None
    assert (back.status, at.there(return_id).status) == ("REJECTED", "REJECTED")
    assert at.bank.standing_of(original.transfer_id).returnable_cents == CENTS
    second = at.come_back(original.end_to_end_id, CENTS)
    at.turn()
    assert at.there(second).status == "SETTLED"
    assert at.balance(ana) == (GRANT_CENTS, 0)
    assert at.bank.auditor.audit().ok


def test_a_yes_to_a_return_that_was_lost_is_said_again(at: Stage) -> None:
    ana = at.open()
    original = went(at, ana)
    assert original.end_to_end_id is not None
    return_id = at.come_back(original.end_to_end_id, CENTS)
    at.faults.extend([calmly, lost_call])
    at.turn(1)
    at.pass_time(6)
    at.turn(2)
    assert at.there(return_id).status == "SETTLED"
    assert at.balance(ana) == (GRANT_CENTS, 0)


def _closed(at: Stage, account_id: str) -> None:
    at.bank.ledger.change_status(account_id, account.close, soon())


def _blocked(at: Stage, account_id: str) -> None:
    at.bank.ledger.change_status(account_id, account.block, soon())


def test_a_return_to_a_closed_account_is_refused_with_its_code(at: Stage) -> None:
    ana = at.open()
    transfer_id = at.send(ana, MARIA, GRANT_CENTS)
    at.turn()
    _closed(at, ana)
    end_to_end_id = str(at.bank.standing_of(transfer_id).end_to_end_id)
    return_id = at.come_back(end_to_end_id, 1)
    at.turn()
    assert (at.there(return_id).status, at.there(return_id).reason) == ("REJECTED", "AC07")
    assert at.bank.standing_of(transfer_id).returnable_cents == GRANT_CENTS
    assert at.bank.auditor.audit().ok


def test_a_return_to_a_blocked_account_is_refused_with_its_code(at: Stage) -> None:
    ana = at.open()
    original = went(at, ana)
    _blocked(at, ana)
    return_id = at.come_back(str(original.end_to_end_id), 1)
    at.turn()
    assert (at.there(return_id).status, at.there(return_id).reason) == ("REJECTED", "AC06")


def returned(at: Stage, original: Transfer, cents: int) -> bytes:
    """A pacs.004 as the SPI hands it on, out of its queue."""
    at.bacen.transport._queues[OWN].clear()
    at.come_back(str(original.end_to_end_id), cents)
    (message,) = [each.xml for each in at.bacen.transport._queues[OWN]]
    at.bacen.transport._queues[OWN].clear()
    return message


WRONG: list[tuple[str, str, str, str]] = [
    ("of a payment that nobody made", "<OrgnlEndToEndId>", "{original}", "AC03"),
    ("by another bank", "<CdtrAgt><FinInstnId><ClrSysMmbId><MmbId>18236120", "60701190", "AC03"),
    ("of more than was paid", ">10.00<", ">50.01<", "AM09"),
    ("of nothing", ">10.00<", ">0.00<", "AM01"),
    ("with an id of ours", "<RtrId>D18236120", f"<RtrId>D{OWN}", "FF08"),
]


@pytest.mark.parametrize(
    ("old", "new", "code"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG]
)
def test_a_return_that_cannot_be_is_refused_with_its_code(at: Stage, old: str, new: str, code: str) -> None:
    ana = at.open()
    original = went(at, ana)
    message = returned(at, original, 1_000).decode()
    if new == "{original}":
        old, new = str(original.end_to_end_id), f"E{OWN}202611250900zzzzzzzzzzz"
    elif old.startswith("<CdtrAgt>"):
        new = old.replace("18236120", new)
    assert old in message
    put(at, message.replace(old, new).encode())
    at.turn()
    assert at.answers() == [("RJCT", code)]
    assert at.balance(ana) == (GRANT_CENTS - CENTS, 0)
    assert at.bank.standing_of(original.transfer_id).returnable_cents == CENTS


def test_a_return_after_ninety_days_is_refused(at: Stage) -> None:
    ana = at.open()
    original = went(at, ana)
    message = returned(at, original, 1_000).decode()
    before = at.bank.time().strftime("%Y-%m-%dT%H:%M")
    at.bank.time.moment += timedelta(days=91)
    put(at, message.replace(before, at.bank.time().strftime("%Y-%m-%dT%H:%M")).encode())
    at.turn()
    assert at.answers() == [("RJCT", "DT05")]


def test_a_return_of_a_pix_that_came_from_there_is_nothing_that_anybody_made(at: Stage) -> None:
    ana = at.open()
    went(at, ana)
    incoming = came(at, ana)
    other = went(at, ana, JOAO)
    message = returned(at, other, 1_000).decode()
    put(at, message.replace(str(other.end_to_end_id), str(incoming.end_to_end_id)).encode())
    answered = len(at.answers())
    at.turn()
    assert at.answers()[answered:] == [("RJCT", "AC03")]


def test_a_return_that_is_quicker_than_the_answer_to_its_payment_is_credited(at: Stage) -> None:
    ana = at.open()
    at.asking.round = lambda: 0.0  # type: ignore[method-assign]  # who sent it has not asked yet
    transfer_id = at.send(ana, MARIA, CENTS)
    sent = at.bank.standing_of(transfer_id)
    assert sent.status == "SENT"
    return_id = at.come_back(str(sent.end_to_end_id), CENTS)
    at.turn()
    assert at.there(return_id).status == "SETTLED"
    original = at.bank.standing_of(transfer_id)
    assert (original.status, original.returnable_cents) == ("SETTLED", 0)
    assert at.balance(ana) == (GRANT_CENTS, 0)
    assert at.bank.auditor.audit().ok


@pytest.mark.parametrize("fault", [lost_answer, lost_call], ids=["answer", "call"])
@pytest.mark.parametrize("number", range(5))
def test_whichever_call_is_lost_a_return_is_credited_once(at: Stage, fault: object, number: int) -> None:
    ana = at.open()
    original = went(at, ana)
    return_id = at.come_back(str(original.end_to_end_id), CENTS)
    at.faults.extend([calmly] * number + [fault])  # type: ignore[list-item]
    for _ in range(8):
        at.turn(2)
        at.pass_time(4)
    assert at.there(return_id).status == "SETTLED"
    assert at.balance(ana) == (GRANT_CENTS, 0)
    assert at.bank.auditor.audit().ok


def test_the_text_that_turns_a_payment_round_names_the_payment() -> None:
    text = outgoing.written(
        outgoing.Outgoing(
            "DICT",
            Party("60701190", "11144477735", "1", "CACC", "1", "Beto"),
            Party(OWN, "52998224725", "2", "CACC", "1", "Ana"),
            "ana@example.com",
        )
    )
    back = outgoing.read(outgoing.turned_round(text, "E1"))
    assert (back.debtor.name, back.creditor.name, back.returns) == ("Ana", "Beto", "E1")
    assert (back.instrument, back.key) == ("MANU", None)
    assert outgoing.read(text).returns is None
