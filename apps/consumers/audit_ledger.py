"""Audits the ledger again and again, and freezes every account that drifts: better halt than go on wrong."""

import logging
import threading
from collections.abc import Callable
from itertools import count

from apps.consumers.process import LoopSettings, working
from apps.kit import dynamo, metrics, settings
from apps.kit.dynamo import OutcomeUnknown, TableCheck, Unavailable
from apps.ledger.audit import NO_ACCOUNT, Auditor, Report
from apps.ledger.store import Tables

BEAT_SECONDS = 1.0
FULL_EVERY = 12
"""With a rest of five minutes, every entry there is is looked at once an hour."""

_log = logging.getLogger(__name__)


class AuditSettings(LoopSettings):
    """What this worker reads from its environment. `audit_seconds` is the rest between two audits."""

    table_accounts: str
    table_transactions: str
    table_events: str
    audit_seconds: float


def audit(auditor: Auditor, beat: Callable[[], None] = lambda: None, since: str | None = None) -> Report:
    """One audit, of everything or of the months from `since` (yyyymm) on: reports it as metrics and freezes
    what drifts, each account for itself."""
    report = auditor.audit(beat, since)
    metrics.emit("drift", len(report.drift))
    metrics.emit("ledger_sum_cents", report.sum_cents)
    metrics.emit("outbox_age_seconds", report.outbox_age_seconds, unit="Seconds")
    for drift in report.drift:
        beat()
        if drift.account_id == NO_ACCOUNT:
            _log.error("an item is damaged", extra={"what": drift.what, "detail": drift.detail})
            continue
        _log.error("an account drifts", extra={"account_id": drift.account_id, "what": drift.what})
        try:
            auditor.freeze(drift)
        except LookupError:
            # Its balance itself is gone: nothing can move there, and the others must still be frozen.
            _log.error("there is no balance to freeze", extra={"account_id": drift.account_id})
        except (Unavailable, OutcomeUnknown) as error:
            _log.error(
                "an account was not frozen",
                extra={"account_id": drift.account_id, "error": type(error).__name__},
            )
            metrics.emit("freeze_failures", 1)
    return report


def run(auditor: Auditor, every_seconds: float, stop: threading.Event, beat: Callable[[], None]) -> None:
    """Audits until told to stop, and shows a heartbeat between audits. Most audits begin with last month, so
    that they do not grow with the bank's age; the first one and every few after it are of everything."""
    for number in count():
        if stop.is_set():
            return
        beat()
        try:
            audit(auditor, beat, None if number % FULL_EVERY == 0 else auditor.last_month())
        except (Unavailable, OutcomeUnknown) as error:
            _log.warning("an audit was broken off", extra={"error": type(error).__name__})
        rest = every_seconds
        while rest > 0 and not stop.wait(min(rest, BEAT_SECONDS)):
            beat()
            rest -= BEAT_SECONDS


def main() -> None:
    """Audits until told to stop."""
    config = settings.read(AuditSettings)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    tables = Tables(config.table_accounts, config.table_transactions, config.table_events)
    auditor = Auditor(client, tables, config.outbox_shards)
    with working(config, [TableCheck(client, config.table_accounts)]) as (stop, beat):
        run(auditor, config.audit_seconds, stop, beat)


if __name__ == "__main__":
    settings.run(main)
