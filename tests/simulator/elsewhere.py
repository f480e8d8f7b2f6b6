"""Another bank in a world: its customers pay accounts here, and give back some of what they were paid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from apps.pix import end_to_end_id, spi_writing
from apps.pix.spi import SPI_ISPB, Header, Party, PaymentOrder, PaymentReturn
from tests.simulator.spi import ISPB, SETTLED_WITHIN, Order, Spi

MARIA = Party("18236120", "31827465026", "987654321", "TRAN", "0001", "Maria da Silva")
WRONG: tuple[Callable[[Party], Party], ...] = (
    lambda party: replace(party, account="99999999"),
    lambda party: replace(party, account_type="SVGS"),
    lambda party: replace(party, tax_id=MARIA.tax_id),
)
"""What makes an order one for nobody here."""


@dataclass
class Elsewhere:
    """The other bank. `accounts` are those here that its customers pay, each with its holder."""

    spi: Spi
    accounts: Mapping[str, Party]
    largest: int
    customers: int = 0

    def customer(self, name: str, wishes: int) -> None:
        """Pays or gives back so many times."""
        self.customers += 1
        chance = self.spi.world.chance

        def act() -> None:
            for _ in range(wishes):
                self.spi.world.rest(chance.expovariate(1.5))
                paid = [each for each in self.spi.orders.values() if not each.comes and each.left]
                if paid and chance.random() < 0.5:
                    self._give_back(chance.choice(paid[-4:]))
                else:
                    self._pay()
            self.customers -= 1

        self.spi.world.spawn(name, act)

    def _pay(self) -> None:
        spi, chance = self.spi, self.spi.world.chance
        # The last one may be empty still, and about to be closed.
        accounts = list(self.accounts.items())
        account_id, creditor = accounts[-1] if chance.random() < 0.3 else chance.choice(accounts)
        wrong = chance.random() < 0.1
        if wrong:
            creditor = chance.choice(WRONG)(creditor)
        cents = chance.randint(1, self.largest)
        # Some come when most of their time is over.
        accepted = spi.now() - timedelta(
            seconds=chance.uniform(25.0, 40.0) if chance.random() < 0.15 else 0.0
        )
        by_key = chance.random() < 0.5
        order = PaymentOrder(
            header=self._header(),
            end_to_end_id=end_to_end_id.new(MARIA.ispb, spi.now()),
            amount_cents=cents,
            accepted_at=accepted,
            instrument="DICT" if by_key else "MANU",
            debtor=MARIA,
            creditor=replace(creditor, name=None),
            key="ana@example.com" if by_key else None,
        )
        message = spi_writing.payment_order(order)
        payee = None if wrong else account_id
        deadline = accepted + SETTLED_WITHIN
        spi.pass_on(Order(order.end_to_end_id, message, cents, deadline, comes=True, payee=payee))

    def _give_back(self, original: Order) -> None:
        spi, chance = self.spi, self.spi.world.chance
        cents = chance.choice((original.left, chance.randint(1, original.left)))
        returned = PaymentReturn(
            header=self._header(),
            return_id=end_to_end_id.of_return(MARIA.ispb, spi.now()),
            end_to_end_id=original.id,
            amount_cents=cents,
            reason="MD06",
            debtor_ispb=ISPB,
            creditor_ispb=MARIA.ispb,
        )
        message = spi_writing.payment_return(returned)
        payee = spi.store.made_as(original.id).payer
        deadline = spi.now() + SETTLED_WITHIN
        spi.pass_on(Order(returned.return_id, message, cents, deadline, original, comes=True, payee=payee))

    def _header(self) -> Header:
        number = self.spi.world.chance.getrandbits(92)
        return Header(SPI_ISPB, ISPB, f"M{SPI_ISPB}{number:023x}", self.spi.now())
