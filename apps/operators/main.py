"""What an operator runs on an environment: `audit`, and `unfreeze` for an account that a clean audit clears.

`gobank` starts this as a process of its own with the operators' role; on AWS it runs as a Job.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from apps.kit import dynamo, settings
from apps.ledger.audit import Auditor, Report
from apps.ledger.store import Tables


class OperatorSettings(settings.JobSettings):
    """What the operators' commands read from their environment."""

    table_accounts: str
    table_transactions: str
    table_events: str
    dynamodb_endpoint: str | None = None
    outbox_shards: int


@dataclass(frozen=True)
class Outcome:
    """What a command prints, and the code that it exits with."""

    text: str
    exit_code: int


def parser() -> argparse.ArgumentParser:
    """The commands and their arguments."""
    commands = argparse.ArgumentParser(prog="operators", description=__doc__)
    choices = commands.add_subparsers(dest="command", required=True)
    audit = choices.add_parser("audit", help="recompute every balance from its entries")
    audit.add_argument("--json", action="store_true", help="print the report as JSON")
    unfreeze = choices.add_parser("unfreeze", help="let a frozen account move again, if its audit is clean")
    unfreeze.add_argument("account_id")
    return commands


def run(arguments: argparse.Namespace, auditor: Auditor) -> Outcome:
    """Carries one command out. Exit code 1 says that the ledger is not as it should be."""
    if arguments.command == "unfreeze":
        return _unfreeze(arguments.account_id, auditor)
    report = auditor.audit()
    text = json.dumps(report.document()) if arguments.json else in_words(report)
    return Outcome(text, 0 if report.ok else 1)


def in_words(report: Report) -> str:
    """The report for people."""
    lines = [
        f"{report.accounts} accounts, {report.transfers} transfers, {report.entries} entries: "
        + ("every balance is the sum of its entries" if report.ok else "the ledger is NOT sound"),
        f"sum over all accounts: {report.sum_cents} centavos",
        f"oldest event in the outbox: {report.outbox_age_seconds:.1f} s",
    ]
    return "\n".join([*lines, *(f"drift: {drift}" for drift in report.drift)])


def _unfreeze(account_id: str, auditor: Auditor) -> Outcome:
    try:
        drift = auditor.unfreeze(account_id)
    except LookupError as error:
        return Outcome(str(error.args[0]), 2)
    if drift:
        return Outcome("\n".join(["still frozen:", *(str(each) for each in drift)]), 1)
    return Outcome(f"{account_id} moves again", 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command on the command line."""
    parsed = parser().parse_args(arguments)
    config = settings.read(OperatorSettings)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    tables = Tables(config.table_accounts, config.table_transactions, config.table_events)
    outcome = run(parsed, Auditor(client, tables, config.outbox_shards))
    sys.stdout.write(outcome.text + "\n")
    sys.exit(outcome.exit_code)


if __name__ == "__main__":
    settings.run(main)
