"""Previews for people and for programs: age, time left, URL, cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from environments.preview import lifetime
from environments.preview.record import Record


@dataclass(frozen=True)
class Row:
    """One preview now. `stale` says that its base was updated after it."""

    name: str
    branch: str
    pr: str
    owner: str
    base: str
    state: str
    url: str
    created: str
    expires: str
    age_seconds: int
    ttl_left_seconds: int
    usd_a_day: float | None
    stale: bool

    def document(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    @property
    def cells(self) -> tuple[str, ...]:
        """For a table."""
        state = f"{self.state}, base is newer" if self.stale else self.state
        left = lifetime.shown(timedelta(seconds=self.ttl_left_seconds))
        age = lifetime.shown(timedelta(seconds=self.age_seconds))
        cost = "?" if self.usd_a_day is None else f"{self.usd_a_day:.2f}"
        branch = self.branch if len(self.branch) <= BRANCH_WIDTH else f"{self.branch[: BRANCH_WIDTH - 1]}…"
        return self.name, branch, state, age, left, cost, self.url


COLUMNS = ("preview", "branch", "state", "age", "left", "USD a day", "URL")

BRANCH_WIDTH = 24


def table(rows: Sequence[Row]) -> list[str]:
    """Lines for people, as wide as they must be: a name or a URL that is cut off is of no use."""
    found = [COLUMNS, *(row.cells for row in rows)]
    widths = [max(len(cells[place]) for cells in found) for place in range(len(COLUMNS))]
    return ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in found]


def rows(records: Sequence[Record], base_updates: dict[str, str], now: datetime) -> list[Row]:
    """The rows, the first to go first. `base_updates` are the times of bases' last updates, by name."""
    return [
        Row(
            name=each.name,
            branch=each.branch,
            pr=each.pr,
            owner=each.owner,
            base=each.base,
            state=each.state,
            url=each.url,
            created=lifetime.written(each.created),
            expires=lifetime.written(each.expires),
            age_seconds=int((now - each.created).total_seconds()),
            ttl_left_seconds=int((each.expires - now).total_seconds()),
            usd_a_day=each.usd_a_day,
            stale=each.state == "up" and _after(base_updates.get(each.base.rpartition("/")[2], ""), each),
        )
        for each in sorted(records, key=lambda each: (each.expires, each.name))
    ]


def _after(updated: str, record: Record) -> bool:
    try:
        return datetime.fromisoformat(updated) > record.since
    except (ValueError, TypeError):
        return False
