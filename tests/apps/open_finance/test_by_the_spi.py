"""Money between other banks and ours: by orders to the SPI, whose word is the last, and once.

All of it in this process: our Open Finance Service, the simulated banks, and Bacen's simulator between them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

from apps.kit.outbound import Answer, Call, NoAnswer, Send
from apps.pix import spi_reading
from apps.pix.spi import PaymentOrder
from apps.simulators.bacen.app import bacen_app
from apps.simulators.bacen.bacen import Bacen
from apps.simulators.bacen.clock import ShiftedClock
from apps.simulators.bacen.directory import Account
from apps.simulators.bacen.neighbours import OverHttp
from apps.simulators.bacen.population import NEIGHBOURS
from apps.simulators.other_bank.brands import USUAL
from apps.simulators.other_bank.spi import Spi
from tests.apps.open_finance.stage import BANKS_URL, CPFS, IPE, JATOBA, Stage, Time, sending, staged
from tests.apps.serving import ANA, BETO
from tests.apps.simulators.bacen.scene import OPENED, OWN, Scene, no_time, outcomes

BACEN_URL = "http://bacen.test"
HERE = {
    "ispb": OWN,
    "branch": "0001",
    "number": "12345",
    "account_type": "CACC",
    "tax_id": CPFS[BETO],
    "name": "Beto Lima",
}


class Line:
    """The other banks' line to Bacen, which may be cut."""

    def __init__(self, bacen: Send) -> None:
        self._bacen = bacen
        self.calls: list[Call] = []
        self.is_cut = False

    def send(self, call: Call, seconds: float) -> Answer:
        self.calls.append(call)
        if self.is_cut:
            raise NoAnswer("refused", sent=False)
        return self._bacen(call, seconds)


@dataclass
class Country:
    """Everybody."""

    stage: Stage
    scene: Scene
    line: Line

    def ordered(self, to: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        """A payment from Ana's account at Banco Ipê that she has agreed to."""
        link = self.stage.linked(IPE)
        wish = {
            "from_account": link["accounts"][0]["account_id"],
            "to": {"bank": to or HERE},
            "amount_cents": 5_000,
            **more,
        }
        initiation: dict[str, Any] = self.stage.post("/payment-initiations", wish).json()
        location = self.stage.browser.agree(initiation["authorisation_url"], CPFS[ANA], first_only=True)
        assert self.stage.come_back(location).status_code == 200
        return initiation

    def looked_at(self, initiation: dict[str, Any]) -> tuple[str, str, str | None]:
        """Its state, the bank's word for it, and why."""
        path = f"/payment-initiations/{initiation['payment_initiation_id']}"
        found = self.stage.get(path).json()
        return found["status"], found["bank_status"], found["reason"]

    def later(self, initiation: dict[str, Any], seconds: float = 1) -> tuple[str, str, str | None]:
        self.stage.time.skip(seconds=seconds)
        return self.looked_at(initiation)

    def at(self, bank: str, subject: str = ANA) -> tuple[int, int]:
        """What is available and blocked on somebody's first account at a bank."""
        account = self.stage.bank(bank).customers[CPFS[subject]].accounts[0]
        return account.available_cents, account.blocked_cents


@pytest.fixture
def country() -> Iterator[Country]:
    time = Time()
    # Bacen and the banks know each other; one of them has to be there first.
    neighbours = OverHttp(lambda call, seconds: sending(stage.browser.client)(call, seconds), BANKS_URL)
    bacen = Bacen(1, frozenset({OWN}), ShiftedClock(time.now), neighbours=neighbours)
    with TestClient(bacen_app(bacen, OWN, sleep=no_time), base_url=BACEN_URL) as at_bacen:
        line = Line(sending(at_bacen))
        rail = Spi(line.send, BACEN_URL)
        with staged(time=time, rail=rail, fresh_seconds=0, bank_deadline_ms=30_000) as stage:
            yield Country(stage, Scene(bacen), line)


def test_the_banks_that_the_spi_knows_are_those_that_are_played() -> None:
    assert {each.ispb: each.name for each in USUAL} == NEIGHBOURS


def test_money_for_an_account_here_comes_as_an_order_of_the_spi(country: Country) -> None:
    initiation = country.ordered(description="Almoço")
    assert country.later(initiation) == ("PROCESSING", "ACPD", None)
    (message,) = country.scene.received()
    order = spi_reading.read(message.xml)
    assert isinstance(order, PaymentOrder)
    assert order.end_to_end_id == initiation["end_to_end_id"]
    assert (order.amount_cents, order.description) == (5_000, "Almoço")
    assert (order.debtor.ispb, order.debtor.tax_id, order.debtor.name) == (
        "99999101",
        CPFS[ANA],
        "Ana Souza",
    )
    assert (order.creditor.ispb, order.creditor.account, order.creditor.tax_id) == (
        OWN,
        "12345",
        CPFS[BETO],
    )
    assert country.at(IPE) == (227_105, 5_000), "blocked until the SPI has said"
    country.scene.bacen.post(OWN, country.scene.answer(order.end_to_end_id, "ACSP"))
    assert outcomes(country.scene.received()) == [("pacs.002", "ACCC", None)]
    assert country.later(initiation) == ("SETTLED", "ACSC", None)
    assert country.at(IPE) == (227_105, 0)


def test_an_order_that_is_looked_at_often_is_one(country: Country) -> None:
    initiation = country.ordered()
    for _ in range(4):
        country.later(initiation)
    assert len(country.line.calls) >= 4
    assert len(country.scene.received()) == 1


def test_what_our_side_refuses_goes_back_to_the_payer(country: Country) -> None:
    initiation = country.ordered()
    country.later(initiation)
    (message,) = country.scene.received()
    order = spi_reading.read(message.xml)
    assert isinstance(order, PaymentOrder)
    country.scene.bacen.post(OWN, country.scene.answer(order.end_to_end_id, "RJCT", "AC03"))
    assert country.later(initiation) == ("REJECTED", "RJCT", "PAGAMENTO_RECUSADO_SPI")
    assert country.at(IPE) == (232_105, 0)


def test_an_order_that_nobody_answers_is_over_after_forty_seconds(country: Country) -> None:
    initiation = country.ordered()
    country.later(initiation)
    assert country.later(initiation, 39)[1] == "ACPD"
    assert country.later(initiation, 2) == ("REJECTED", "RJCT", "PAGAMENTO_RECUSADO_SPI")


def test_a_bank_without_the_spi_waits_and_orders_once_it_is_back(country: Country) -> None:
    initiation = country.ordered()
    country.line.is_cut = True
    assert country.later(initiation) == ("PROCESSING", "ACPD", None)
    country.line.is_cut = False
    country.later(initiation)
    assert len(country.scene.received()) == 1


def test_an_unknown_participant_is_refused_by_the_spi(country: Country) -> None:
    initiation = country.ordered(HERE | {"ispb": "12345678"})
    assert country.later(initiation) == ("REJECTED", "RJCT", "PAGAMENTO_RECUSADO_SPI")


def test_bank_to_bank_touches_neither_the_spi_nor_us(country: Country) -> None:
    payee = country.stage.bank(JATOBA).customers[CPFS[BETO]].accounts[0]
    to = {"ispb": "99999102", "branch": payee.branch, "number": payee.number + payee.check_digit}
    before = country.at(JATOBA, BETO)[0]
    initiation = country.ordered(HERE | to)
    assert country.later(initiation) == ("SETTLED", "ACSC", None)
    assert country.at(JATOBA, BETO)[0] == before + 5_000
    country.later(initiation)
    assert country.at(JATOBA, BETO)[0] == before + 5_000, "once"
    assert country.line.calls == []
    kept = {each["pk"]["S"].partition("#")[0] for each in country.stage.items()}
    assert "PAY" in kept, "the record"
    tables = {
        name: country.stage.dynamo.scan(TableName=name)["Items"]
        for name in ("test-transactions", "test-events")
    }
    assert tables == {"test-transactions": [], "test-events": []}


def paid(country: Country, number: str, tax_id: str = CPFS[ANA]) -> tuple[str, list[Any]]:
    """A Pix of ours to an account at Banco Ipê: its id, and what the SPI says of it."""
    scene = country.scene
    account = Account("99999101", "0001", number, "CACC", OPENED)
    order = scene.payment(creditor_account=account, creditor_tax_id=tax_id, key=None, instrument="MANU")
    return order.end_to_end_id, outcomes(scene.pay(order))


def test_a_pix_of_ours_arrives_at_another_bank_once_the_spi_has_settled_it(country: Country) -> None:
    account = country.stage.bank(IPE).customers[CPFS[ANA]].accounts[0]
    end_to_end_id, told = paid(country, account.number + account.check_digit)
    assert told == [("pacs.002", "ACSC", None)]
    assert country.at(IPE) == (232_105 + 10_050, 0)
    movement = account.movements[-1]
    assert (movement.transaction_id, movement.name, movement.credit) == (end_to_end_id, "Ana Souza", True)


@pytest.mark.parametrize(
    ("number", "tax_id", "reason"),
    [("00000000", CPFS[ANA], "AC03"), (None, CPFS[BETO], "BE01")],
    ids=["no such account", "somebody else's"],
)
def test_a_pix_of_ours_that_another_bank_refuses_credits_nobody(
    country: Country, number: str | None, tax_id: str, reason: str
) -> None:
    account = country.stage.bank(IPE).customers[CPFS[ANA]].accounts[0]
    _, told = paid(country, number or account.number + account.check_digit, tax_id)
    assert told == [("pacs.002", "RJCT", reason)]
    assert country.at(IPE) == (232_105, 0)


def test_what_we_give_back_is_on_the_payers_account_again(country: Country) -> None:
    initiation = country.ordered()
    country.later(initiation)
    country.scene.received()
    end_to_end_id = initiation["end_to_end_id"]
    country.scene.bacen.post(OWN, country.scene.answer(end_to_end_id, "ACSP"))
    country.later(initiation)
    return_id, message = country.scene.give_back(end_to_end_id, 2_000, "99999101")
    country.scene.bacen.post(OWN, message)
    assert country.scene.status_of(return_id) == ("ACSC", None)
    assert country.at(IPE) == (232_105 - 3_000, 0)
