"""Faults in random order, one after the other and two at a time now and then, from a seed. Each kind comes
once before any comes again, and the bank catches up in between."""

import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from kafka.errors import KafkaError

from tests.chaos.control import Kind
from tests.chaos.rail import ISPB
from tests.chaos.stage import DRAIN_SECONDS, SERVICES, Stage
from tests.environment import until

PIX = ("dict_key", "send_pix", "receive_pix", "refund_lookups")
ON_THE_WAY = ("gateway", "transaction", "relay_outbox", "settle_transfers", "sweep_transfers", *PIX)
HANDLERS = ("settle_transfers", "send_pix", "refund_lookups")
POINTS = {
    "gateway": ("http POST transaction /transfers",),
    "account": ("dynamodb GetItem",),
    "transaction": (
        "dynamodb BatchGetItem",
        "dynamodb TransactWriteItems",
        "dynamodb PutItem",
        "http POST dict_key",
    ),
    "relay_outbox": ("dynamodb Query", "kafka send", "dynamodb TransactWriteItems"),
    "settle_transfers": (
        "kafka poll",
        "dynamodb BatchGetItem",
        "dynamodb TransactWriteItems",
        "kafka commit",
    ),
    "sweep_transfers": ("dynamodb Query", "dynamodb TransactWriteItems", "dynamodb PutItem"),
    "audit_ledger": ("dynamodb Query",),
    "dict_key": ("dynamodb GetItem", "dynamodb UpdateItem", "http GET bacen"),
    "send_pix": (
        "kafka poll",
        "dynamodb BatchGetItem",
        "dynamodb TransactWriteItems",
        "http POST bacen",
        "http GET bacen",
        "kafka commit",
    ),
    "receive_pix": (
        "http GET bacen",
        "dynamodb BatchGetItem",
        "dynamodb TransactWriteItems",
        "http POST bacen",
    ),
    "refund_lookups": (
        "kafka poll",
        "dynamodb GetItem",
        "dynamodb TransactWriteItems",
        "kafka commit",
    ),
}
ERRORS = (
    "TransactionConflict",
    "ThrottlingError",
    "ThrottlingException",
    "InternalServerError",
    "IdempotentParameterMismatchException",
)
CLOCK_SECONDS = 90.0
RAIL_CLOCK_SECONDS = 20.0
"""Of whoever talks to the SPI: no further off than an order has time."""
Undo = Callable[[], None]


@dataclass
class Nemesis:
    """What goes wrong, and when. `heal` ends all of it."""

    stage: Stage
    seed: int
    kinds: Sequence[str] = ()
    rest_seconds: float = 0.6
    episodes: list[tuple[float, str]] = field(default_factory=list)
    _chance: random.Random = field(init=False)
    _left: list[str] = field(default_factory=list)
    _over: bool = False

    def __post_init__(self) -> None:
        self._chance = random.Random(f"nemesis {self.seed}")
        self.kinds = self.kinds or tuple(
            name for name in KINDS if self.stage.broker or name != "broker_forgets"
        )

    def run(self, stop: threading.Event) -> None:
        """Works until told to stop, and leaves nothing broken."""
        try:
            while not stop.wait(self._chance.uniform(0, self.rest_seconds)):
                if self.episodes and not self._left:
                    self._let_catch_up(stop)
                # Two that come together are of one round.
                together = 2 if self._chance.random() < 0.3 and len(self._left) != 1 else 1
                undo = [self._begin(self._next()) for _ in range(together)]
                stop.wait(self._chance.uniform(0.3, 2.5))
                for each in undo:
                    each()
        finally:
            self._over = True
            self.heal()

    @property
    def complete(self) -> bool:
        """Whether every kind has come, or none will come any more."""
        return self._over or set(self.kinds) <= {name for _, name in self.episodes}

    def heal(self) -> None:
        """Nothing is wrong any more."""
        self.stage.faults.clear()
        self.stage.bacen.mend()
        for name in (*SERVICES, "ministack"):
            self.stage.send_signal(name, signal.SIGCONT)
        if self.stage.broker is not None:
            self.stage.broker.signal(signal.SIGCONT)
            if not self.stage.broker.up:
                self.stage.start_broker()

    def _let_catch_up(self, stop: threading.Event) -> None:
        """Between two rounds nothing is wrong until all is done that had gathered. What a broker forgets is
        sent again, so that without this a machine slower than the faults would soon see refusals alone."""
        self.heal()
        self.stage.bacen.hand_out_again()
        gathered = self._gathered()
        until(lambda: gathered & self._gathered(), lambda left: not left or stop.is_set(), DRAIN_SECONDS)

    def _gathered(self) -> set[str]:
        return {*self.stage.tables.undecided(), *self.stage.tables.waiting()}

    def _next(self) -> str:
        if not self._left:
            self._left = self._chance.sample(self.kinds, len(self.kinds))
        return self._left.pop()

    def _begin(self, name: str) -> Undo:
        self.episodes.append((time.monotonic(), name))
        return KINDS[name](self)

    def _service(self) -> str:
        return self._chance.choice(ON_THE_WAY)

    def _ruled(self, *numbers: int) -> Undo:
        return lambda: self.stage.faults.remove(*numbers)

    def kill(self) -> Undo:
        self.stage.send_signal(self._chance.choice(list(POINTS)), signal.SIGKILL)
        return _nothing

    def kill_at_a_call(self) -> Undo:
        service = self._chance.choice(list(POINTS))
        call, at = self._chance.choice(POINTS[service]), self._chance.choice(("before", "after"))
        return self._ruled(self.stage.faults.add(service, "kill", call=call, at=at, times=1))

    def stop_a_service(self) -> Undo:
        return self._stopped(self._service())

    def stop_at_a_call(self) -> Undo:
        service = self._service()
        call, at = self._chance.choice(POINTS[service]), self._chance.choice(("before", "after"))
        number = self.stage.faults.add(service, "stop", call=call, at=at, times=1)

        def undo() -> None:
            self.stage.faults.remove(number)
            self.stage.send_signal(service, signal.SIGCONT)

        return undo

    def store_stops(self) -> Undo:
        return self._stopped("ministack")

    def store_is_slow(self) -> Undo:
        return self._ruled(self.stage.faults.add("*", "delay", call="dynamodb", seconds=0.5, chance=0.5))

    def broker_stops(self) -> Undo:
        own = self.stage.broker
        if own is None:
            return self._stopped("kafka")
        own.signal(signal.SIGSTOP)
        return lambda: own.signal(signal.SIGCONT)

    def broker_forgets(self) -> Undo:
        own = self.stage.broker
        assert own is not None
        own.kill()

        def undo() -> None:
            if not own.up:
                self.stage.start_broker()

        return undo

    def lost_replies(self) -> Undo:
        return self._ruled(self.stage.faults.add("*", "lose", call="dynamodb", at="after", chance=0.3))

    def lost_answers(self) -> Undo:
        return self._ruled(
            *(
                self.stage.faults.add(service, "lose", call="http", at="after", chance=0.5)
                for service in ("gateway", "transaction", "dict_key", "send_pix", "receive_pix")
            )
        )

    def lost_reports(self) -> Undo:
        return self._ruled(self.stage.faults.add("*", "lose", call="kafka send", at="after", chance=0.3))

    def errors(self) -> Undo:
        code, at = self._chance.choice(ERRORS), self._chance.choice(("before", "after"))
        if code in {"ThrottlingException", "ThrottlingError", "TransactionConflict"}:
            # These say that nothing was done; DynamoDB does not say so of what it did.
            at = "before"
        return self._ruled(self.stage.faults.add("*", "fail", call="dynamodb", at=at, chance=0.4, code=code))

    def records_twice(self) -> Undo:
        return self._ruled(
            *self._at_polls("duplicate"),
            self.stage.faults.add("relay_outbox", "duplicate", call="kafka send", chance=0.3),
        )

    def records_in_disorder(self) -> Undo:
        return self._ruled(*self._at_polls("duplicate", chance=0.5), *self._at_polls("reorder"))

    def records_late(self) -> Undo:
        return self._ruled(*self._at_polls("delay", seconds=1.0))

    def newer_version(self) -> Undo:
        return self._ruled(*self._at_polls("newer"))

    def _at_polls(self, do: Kind, **rule: float) -> list[int]:
        """Does this to what each handler of transfers polls."""
        add = self.stage.faults.add
        return [add(service, do, call="kafka poll", at="after", **rule) for service in HANDLERS]

    def poison(self) -> Undo:
        with suppress(KafkaError, AssertionError):
            self.stage.poison(self._chance.randrange(4))
        return _nothing

    def clock(self) -> Undo:
        service = self._service()
        most = RAIL_CLOCK_SECONDS if service in PIX else CLOCK_SECONDS
        seconds = self._chance.choice((-1, 1)) * self._chance.uniform(1.0, most)
        return self._ruled(self.stage.faults.add(service, "clock", seconds=seconds))

    def spi_down(self) -> Undo:
        return self._at_bacen("spi", "down", seconds=1)

    def spi_slow(self) -> Undo:
        return self._at_bacen("spi", "slow", seconds=1)

    def spi_answers_lost(self) -> Undo:
        return self._at_bacen("spi", "lost_answer")

    def spi_words_lost(self) -> Undo:
        return self._at_bacen("delivery", "lost", participant=ISPB, message="pacs.002")

    def spi_orders_twice(self) -> Undo:
        return self._at_bacen("delivery", "duplicate", participant=ISPB)

    def dict_down(self) -> Undo:
        return self._at_bacen("dict", "down", seconds=1)

    def payee_bank_refuses(self) -> Undo:
        return self._at_bacen("payee", "reject", code="AC06", message="pacs.008")

    def _at_bacen(self, place: str, what: str, **fault: Any) -> Undo:
        number = self.stage.bacen.add(place, what, **fault)
        return lambda: self.stage.bacen.mend(number)

    def _stopped(self, name: str) -> Undo:
        self.stage.send_signal(name, signal.SIGSTOP)
        return lambda: self.stage.send_signal(name, signal.SIGCONT)


def _nothing() -> None:
    """What cannot be undone."""


KINDS: dict[str, Callable[[Nemesis], Undo]] = {
    "kill": Nemesis.kill,
    "kill_at_a_call": Nemesis.kill_at_a_call,
    "stop_a_service": Nemesis.stop_a_service,
    "stop_at_a_call": Nemesis.stop_at_a_call,
    "store_stops": Nemesis.store_stops,
    "store_is_slow": Nemesis.store_is_slow,
    "broker_stops": Nemesis.broker_stops,
    "broker_forgets": Nemesis.broker_forgets,
    "lost_replies": Nemesis.lost_replies,
    "lost_answers": Nemesis.lost_answers,
    "lost_reports": Nemesis.lost_reports,
    "errors": Nemesis.errors,
    "records_twice": Nemesis.records_twice,
    "records_in_disorder": Nemesis.records_in_disorder,
    "records_late": Nemesis.records_late,
    "newer_version": Nemesis.newer_version,
    "poison": Nemesis.poison,
    "clock": Nemesis.clock,
    "spi_down": Nemesis.spi_down,
    "spi_slow": Nemesis.spi_slow,
    "spi_answers_lost": Nemesis.spi_answers_lost,
    "spi_words_lost": Nemesis.spi_words_lost,
    "spi_orders_twice": Nemesis.spi_orders_twice,
    "dict_down": Nemesis.dict_down,
    "payee_bank_refuses": Nemesis.payee_bank_refuses,
}
DEADLY = ("kill", "kill_at_a_call")
"""What ends processes. Without it, what a process holds can be seen to grow, or not."""
