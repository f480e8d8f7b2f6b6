"""Bacen, put together: the DICT, the SPI, the other banks and what goes wrong between them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from uuid import UUID

from apps.simulators.bacen.banks import Banks
from apps.simulators.bacen.claims import Claim, Claims
from apps.simulators.bacen.clock import Agenda, ShiftedClock
from apps.simulators.bacen.directory import Directory, Entry
from apps.simulators.bacen.entries import Entries
from apps.simulators.bacen.faults import Faults
from apps.simulators.bacen.neighbours import Neighbours, Nobody
from apps.simulators.bacen.policies import Limits
from apps.simulators.bacen.population import BANKS, NEIGHBOURS, Population, populated
from apps.simulators.bacen.spi import Spi
from apps.simulators.bacen.spi_messages import Identifiers
from apps.simulators.bacen.statistics import Settled, Statistics
from apps.simulators.bacen.transport import LONG_POLL_SECONDS, Message, Transport

CONTA_CENTS = 1_000_000_000_000
"""What every participant begins with at Bacen: R$ 10 billion."""


@dataclass
class Bacen:
    """Everything. `live` are the participants that pull their messages; the banks of `BANKS` need nobody, and
    for those of `NEIGHBOURS` speaks whoever plays them.

    The same seed gives the same country. Identifiers come from `chance`, the seed's if there is none: whoever
    serves this to a bank that lives longer brings a better one, lest a restart repeats them.
    """

    seed: int
    live: frozenset[str]
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    conta_cents: int = CONTA_CENTS
    long_poll_seconds: float = LONG_POLL_SECONDS
    chance: Random | None = None
    neighbours: Neighbours = field(default_factory=Nobody)

    def __post_init__(self) -> None:
        chance = self.chance or Random(self.seed)  # noqa: S311 (tests want the same identifiers again)
        self.identifiers = Identifiers(chance)
        self.agenda = Agenda(self.clock)
        self.faults = Faults()
        self.population: Population = populated(self.seed)
        self.participants = frozenset(BANKS) | frozenset(NEIGHBOURS) | self.live
        self.directory: Directory = self.population.directory()
        self.limits = Limits(self.agenda)
        self.claims = Claims(self.directory, self.agenda, chance)
        self.entries = Entries(
            self.directory, self.agenda, chance, lambda key: self.claims.open_on(key) is not None
        )
        self.transport = Transport(self.agenda)
        self.spi = Spi(
            self.agenda,
            self.identifiers,
            self.faults,
            self.participants,
            deliver=self._deliver,
            payment_sent=self.limits.payment_sent,
            charge=self.transport.charge,
            conta_cents=self.conta_cents,
        )
        self.banks = Banks(
            self.agenda,
            self.identifiers,
            self.faults,
            self.population,
            self.neighbours,
            send=lambda ispb, xml: self.spi.receive(ispb, xml, self.identifiers.resource()),
        )
        self.statistics = Statistics(self.agenda, self.directory, self._settled)
        self._late: dict[str, list[Message]] = {}

    def correlation_id(self) -> str:
        """A fresh id for an answer of the DICT."""
        return f"{self.identifiers.chance.getrandbits(128):032x}"

    def post(self, ispb: str, xml: bytes) -> str:
        """Keeps a message of a participant and lets the SPI read it; gives its resource id."""
        resource_id = self.identifiers.resource()
        self.spi.receive(ispb, xml, resource_id)
        self.agenda.run_due()
        return resource_id

    def claimed(self, claim: Claim) -> None:
        """A claim has been opened: the banks in it that answer by themselves look after it."""
        self.banks.follow(claim, _BanksClaims(self), self.live)

    def complete(self, claim_id: UUID, participant: str, request_id: UUID) -> tuple[Claim, Entry]:
        """Ends a claim and puts its entry in. Raises `Refused`."""
        claim, entry = self.claims.complete(claim_id, participant, request_id)
        if self.directory.get(entry.key) is None:
            self.entries.keep(entry)
        return claim, entry

    def _deliver(self, ispb: str, kind: str, xml: bytes) -> None:
        """Brings a message to its participant, unless something goes wrong on the way."""
        message = Message(self.identifiers.resource(), kind, xml)
        fault = self.faults.take("delivery", ispb, kind)
        what = fault.what if fault else None
        if what == "lost":
            return
        if what == "reordered":
            self._late.setdefault(ispb, []).append(message)
            return
        if fault is not None and what == "slow":
            due = self.agenda() + timedelta(seconds=fault.seconds)
            self.agenda.at(due, partial(self._hand_over, ispb, [message]))
            return
        copies = [message, message] if what == "duplicate" else [message]
        self._hand_over(ispb, [*copies, *self._late.pop(ispb, [])])

    def _hand_over(self, ispb: str, messages: Iterable[Message]) -> None:
        for message in messages:
            if ispb in self.live:
                self.transport.put(ispb, message)
            else:
                self.banks.take(ispb, message.kind, message.xml)

    def _settled(self) -> Iterable[Settled]:
        for order in self.spi.orders.values():
            if order.kind == "payment" and order.settled_at is not None:
                yield Settled(order.settled_at, order.payee_tax_id, order.key)


@dataclass(frozen=True)
class _BanksClaims:
    """What the other banks do with a claim that nobody's user has decided."""

    bacen: Bacen

    def acknowledge(self, claim: Claim) -> None:
        """Says that it has been seen."""
        self.bacen.claims.acknowledge(claim.id, claim.donor)

    def confirm(self, claim: Claim) -> None:
        """The owner kept silent: the key goes."""
        self.bacen.claims.confirm(claim.id, claim.donor, "DEFAULT_OPERATION")

    def cancel(self, claim: Claim) -> None:
        """The owner kept silent: the key stays."""
        self.bacen.claims.cancel(claim.id, claim.donor, "DEFAULT_OPERATION")

    def complete(self, claim: Claim) -> None:
        """Takes the key."""
        request_id = UUID(int=self.bacen.identifiers.chance.getrandbits(128), version=4)
        self.bacen.complete(claim.id, claim.claimer_account.participant, request_id)
