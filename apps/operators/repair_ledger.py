"""`gobank audit --repair`: after a restore, writes what one table lacks and the others prove.

A program of its own, with a role of its own: nobody else may write so much. It refuses while services run. It
sees that by the relay's leases, which a relay renews every few seconds: one that changes while it is watched
has a holder, and one that does not runs out. Who runs other services but no relay is found out by the
conditions of the writes.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from apps.kit import dynamo, settings
from apps.kit.dynamo import OutcomeUnknown, Unavailable
from apps.ledger.outbox import Lease, Outbox
from apps.ledger.repair import Plan, planned
from apps.ledger.restored import Moved, Restored, events_since
from apps.ledger.store import Tables
from apps.ledger.transfer import iso
from apps.operators.outcome import AWAY, DONE, NOT_SOUND, Outcome, failed, said

WATCH_SECONDS = 15.0
"""Longer than a lease that nobody renews can last."""
LOOK_SECONDS = 0.5


class RepairSettings(settings.JobSettings):
    """What the repair reads from its environment."""

    table_accounts: str
    table_transactions: str
    table_events: str
    dynamodb_endpoint: str | None = None
    outbox_shards: Annotated[int, Field(ge=1)]
    hold_minutes: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Repair:
    """A repair of three tables. Time is given, so that tests own it."""

    restored: Restored
    outbox: Outbox
    lifetime: timedelta
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep

    def run(self, *, dry: bool, as_json: bool) -> Outcome:
        """Plans, and writes unless it is `dry`."""
        try:
            leases = self._leases()
            if (running := self._running(leases)) is not None:
                detail = f"Services are running: {running}. Stop all of them, then run this again."
                return failed("services_running", detail, NOT_SOUND, as_json=as_json)
            plan = planned(self.restored.records(), self.lifetime, events_since(self.now()))
            if not dry:
                self._write(plan, leases)
        except Moved:
            detail = "Something writes to the tables. Stop all services, then run this again."
            return failed("services_running", detail, NOT_SOUND, as_json=as_json)
        except (Unavailable, OutcomeUnknown) as error:
            detail = f"The tables do not answer ({type(error).__name__}). Run it again."
            return failed("unavailable", detail, AWAY, as_json=as_json)
        code = NOT_SOUND if plan.left or (dry and plan.mended) else DONE
        return said({"dry_run": dry, **plan.document()}, in_words(plan, dry=dry), code, as_json=as_json)

    def _write(self, plan: Plan, leases: Sequence[Lease | None]) -> None:
        if self._leases() != leases:
            raise Moved
        self.restored.write(plan)

    def _leases(self) -> list[Lease | None]:
        return [self.outbox.lease(shard) for shard in range(self.restored.shards)]

    def _running(self, leases: Sequence[Lease | None]) -> str | None:
        """Who renews a lease, if anybody does. Waits for those that nobody renews to run out."""
        waited_seconds = 0.0
        while any(each is not None and each.until > iso(self.now()) for each in leases):
            if waited_seconds >= WATCH_SECONDS:
                return "a lease of the relay does not run out"
            self.sleep(LOOK_SECONDS)
            waited_seconds += LOOK_SECONDS
            for before, after in zip(leases, self._leases(), strict=True):
                if after != before and after is not None:
                    return f"{after.owner} relays shard {after.shard} of the outbox"
        return None


def in_words(plan: Plan, *, dry: bool) -> str:
    """What was done, for people."""
    does = "would be mended" if dry else "mended"
    lines = [f"{does}: {each}" for each in plan.mended]
    lines += [f"left: {each}" for each in plan.left]
    if not lines:
        return "Nothing is missing that can be derived."
    lines.append(f"{len(plan.mended)} {does}, {len(plan.left)} left")
    if not dry:
        lines.append("Now run `gobank audit`.")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    arguments = argparse.ArgumentParser(prog="repair_ledger", description=__doc__)
    arguments.add_argument("--dry-run", action="store_true", help="only say what would be written")
    arguments.add_argument("--json", action="store_true", help="print JSON")
    return arguments


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the repair on the command line."""
    parsed = parser().parse_args(arguments)
    config = settings.read(RepairSettings)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    tables = Tables(config.table_accounts, config.table_transactions, config.table_events)
    repair = Repair(
        Restored(client, tables, config.outbox_shards),
        Outbox(client, config.table_events),
        timedelta(minutes=config.hold_minutes),
    )
    outcome = repair.run(dry=parsed.dry_run, as_json=parsed.json)
    sys.stdout.write(outcome.text + "\n")
    sys.exit(outcome.exit_code)


if __name__ == "__main__":
    settings.run(main)
