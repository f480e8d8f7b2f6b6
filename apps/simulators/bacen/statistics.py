"""Counters against fraud: settled payments are counted, frauds have not happened here (D2; 1.5).

Windows: `d90` is today and the 89 days before, `m12` and `m60` the last months without this one, all by days
of Brasília. Settlements are rounded up to 0, 1, 5, 10, 50, 100, 500 and so on, so that nobody can tell one
payment more (D1; assumed for v2). The delay of up to twelve hours is not simulated.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.simulators.bacen.clock import BRASILIA, Clock, stamp
from apps.simulators.bacen.directory import Directory
from apps.simulators.bacen.markup import Element, Node, tree

_FRAUDS = (
    "ApplicationFrauds",
    "MuleAccounts",
    "ScammerAccounts",
    "OtherFrauds",
    "UnknownFrauds",
    "TotalFraudTransactionAmount",
    "DistinctFraudReporters",
)
DAYS, MONTHS, MORE_MONTHS = 90, 12, 60


@dataclass(frozen=True)
class Settled:
    """A payment that arrived: when, who got it, and by which key."""

    at: datetime
    tax_id: str
    key: str | None


class Statistics:
    """Counts what `settled` tells of."""

    def __init__(self, clock: Clock, directory: Directory, settled: Callable[[], Iterable[Settled]]) -> None:
        self._clock = clock
        self._directory = directory
        self._settled = settled

    def of_person(self, tax_id: str) -> Element:
        """`OwnerStatistics`: of all that somebody has."""
        accounts = {entry.account for entry in self._directory.of_owner(tax_id)}
        entries: Node = ("RegisteredAccounts", str(len(accounts)))
        return self._all(
            "OwnerStatistics", (each.at for each in self._settled() if each.tax_id == tax_id), entries
        )

    def of_key(self, key: str) -> Element:
        """`KeyStatistics`: of one key."""
        accounts = 1 if self._directory.get(key) is not None else 0
        entries = _windows("DistinctAccounts", accounts, accounts, accounts)
        return self._all("KeyStatistics", (each.at for each in self._settled() if each.key == key), entries)

    def _all(self, name: str, settled: Iterable[datetime], entries: Node | Element) -> Element:
        now = self._clock()
        mark: Node = ("Watermark", stamp(now))
        counts = self._counted(list(settled), now)
        return tree(
            (
                name,
                [
                    ("Spi", [mark, _windows("Settlements", *(rounded_up(each) for each in counts))]),
                    ("FraudMarkers", [mark, *(_windows(each, 0, 0, 0) for each in _FRAUDS)]),
                    (
                        "InfractionReports",
                        [
                            mark,
                            ("OpenReports", "0"),
                            ("OpenReportsDistinctReporters", "0"),
                            _windows("RejectedReports", 0, 0, 0),
                        ],
                    ),
                    ("Entries", [mark, entries]),
                ],
            )
        )

    @staticmethod
    def _counted(settled: list[datetime], now: datetime) -> tuple[int, int, int]:
        today = now.astimezone(BRASILIA).replace(hour=0, minute=0, second=0, microsecond=0)
        month = today.replace(day=1)
        since_days = today - timedelta(days=DAYS - 1)
        since_months = [_months_before(month, months) for months in (MONTHS, MORE_MONTHS)]
        first, second = (sum(since <= each < month for each in settled) for since in since_months)
        return sum(since_days <= each <= now for each in settled), first, second


def rounded_up(count: int) -> int:
    """The next of 0, 1, 5, 10, 50, 100, 500, 1000, ..."""
    step = 1
    while step < count:
        step *= 5 if str(step).startswith("1") else 2
    return step if count else 0


def _months_before(month: datetime, count: int) -> datetime:
    years, months = divmod(month.year * 12 + month.month - 1 - count, 12)
    return month.replace(year=years, month=months + 1)


def _windows(name: str, d90: int, m12: int, m60: int) -> Element:
    return Element(name, {"d90": str(d90), "m12": str(m12), "m60": str(m60)})
