"""What an operator runs on an environment: `audit`, `trace`, `accounts`, `dead-letters` and `events`.

`gobank` starts this as a process of its own with the operators' role; on AWS it runs as a Job. Exit codes:
0 done, 1 not as it should be or refused, 2 no such thing, 3 what it needs does not answer.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from apps.kit import dynamo, settings
from apps.kit.dynamo import OutcomeUnknown, Unavailable
from apps.kit.kafka import ForbiddenTopic, Producer, PublishFailed
from apps.kit.topics import TopicReader, TopicUnavailable
from apps.ledger.audit import Auditor, Report
from apps.ledger.items import Corrupted
from apps.ledger.outbox import Outbox
from apps.ledger.reading import Reader
from apps.ledger.store import Ledger, Tables
from apps.operators import accounts, dead_letters, tail, trace
from apps.operators.dead_letters import DeadLetters
from apps.operators.outcome import AWAY, DONE, NOT_SOUND, UNKNOWN, Outcome, failed, said
from apps.operators.trace import Tracer

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended, as of any program."""


class OperatorSettings(settings.KafkaSettings):
    """What the operators' commands read from their environment."""

    table_accounts: str
    table_transactions: str
    table_events: str
    dynamodb_endpoint: str | None = None
    outbox_shards: int
    retention_hours_transfers: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Tools:
    """What the commands work with. Making them opens no connection."""

    auditor: Auditor
    ledger: Ledger
    tracer: Tracer
    letters: DeadLetters
    reader: TopicReader


def parser() -> argparse.ArgumentParser:
    """The commands and their arguments."""
    commands = argparse.ArgumentParser(prog="operators", description=__doc__)
    choices = commands.add_subparsers(dest="command", required=True)
    _leaf(choices, "audit", "recompute every balance from its entries")
    traced = _leaf(choices, "trace", "tell a transfer's story")
    traced.add_argument("transfer_id")
    traced.add_argument("--logs", type=Path, help="a folder of log files to look into")
    of_accounts = choices.add_parser("accounts", help="block, unblock or unfreeze an account")
    changes = of_accounts.add_subparsers(dest="action", required=True)
    for command in accounts.COMMANDS:
        _leaf(changes, command, f"{command} an account").add_argument("account_id")
    of_letters = choices.add_parser("dead-letters", help="records that no worker could handle")
    letters = of_letters.add_subparsers(dest="action", required=True)
    _leaf(letters, "list", "all of them")
    show = _leaf(letters, "show", "one of them")
    show.add_argument("letter_id")
    show.add_argument("--raw", action="store_true", help="every byte as it was, in base64, nothing masked")
    _leaf(letters, "replay", "put records back on their topic").add_argument("letter_id", nargs="+")
    of_events = choices.add_parser("events", help="the topic")
    tailed = _leaf(of_events.add_subparsers(dest="action", required=True), "tail", "the newest events")
    tailed.add_argument("-n", dest="last", type=_count, default=20, help="how many of the last events")
    tailed.add_argument("-f", dest="follow", action="store_true", help="go on as new ones come")
    return commands


def _leaf(
    choices: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    leaf = choices.add_parser(name, help=what)
    leaf.add_argument("--json", action="store_true", help="print JSON")
    return leaf


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10_000:
        raise argparse.ArgumentTypeError("must be a number from 1 to 10000")
    return int(text)


def run(arguments: argparse.Namespace, tools: Tools) -> Outcome:
    """Carries one command out, but `events tail`, which has no end."""
    as_json: bool = arguments.json
    try:
        return _command(arguments, tools, as_json=as_json)
    except LookupError as error:
        return failed("not_found", str(error.args[0]), UNKNOWN, as_json=as_json)
    except (ForbiddenTopic, Corrupted) as error:
        return failed("refused", str(error), NOT_SOUND, as_json=as_json)
    except (Unavailable, OutcomeUnknown) as error:
        detail = f"The tables do not answer ({type(error).__name__}). Run it again."
        return failed("unavailable", detail, AWAY, as_json=as_json)
    except TopicUnavailable as error:
        return failed("unavailable", f"Kafka does not answer ({error}). Run it again.", AWAY, as_json=as_json)


def _command(arguments: argparse.Namespace, tools: Tools, *, as_json: bool) -> Outcome:
    match arguments.command, getattr(arguments, "action", None):
        case "audit", _:
            report = tools.auditor.audit()
            code = DONE if report.ok else NOT_SOUND
            return said(report.document(), in_words(report), code, as_json=as_json)
        case "trace", _:
            story = tools.tracer.trace(arguments.transfer_id, arguments.logs)
            return said(story, trace.in_words(story), DONE, as_json=as_json)
        case "accounts", action:
            return accounts.change(
                str(action), arguments.account_id, tools.ledger, tools.auditor, as_json=as_json
            )
        case "dead-letters", "list":
            found = [each.document() for each in tools.letters.all()]
            text = "\n".join(map(dead_letters.in_words, found)) or "There are no dead letters."
            return said({"dead_letters": found}, text, DONE, as_json=as_json)
        case "dead-letters", "show":
            letter = tools.letters.find(arguments.letter_id).whole(raw=arguments.raw)
            return said(letter, json.dumps(letter, indent=2, ensure_ascii=False), DONE, as_json=as_json)
        case _:
            return _replayed(arguments.letter_id, tools.letters, as_json=as_json)


def _replayed(ids: Sequence[str], letters: DeadLetters, *, as_json: bool) -> Outcome:
    """All letters are looked up before the first is put back: a wrong id puts none back. Where Kafka stops
    answering, what is back already is said, and the next one may be."""
    for letter_id in ids:
        letters.find(letter_id)
    done: list[dict[str, object]] = []
    for letter_id in ids:
        try:
            done.append(letters.replay(letter_id))
        except PublishFailed as error:
            document = {"replayed": done, "error": "unavailable", "unknown": letter_id}
            text = (
                f"{letter_id} may be back or not: Kafka does not answer ({error}). Look before you repeat it."
            )
            return said(document, "\n".join([*map(dead_letters.in_words, done), text]), AWAY, as_json=as_json)
    return said({"replayed": done}, "\n".join(map(dead_letters.in_words, done)), DONE, as_json=as_json)


def in_words(report: Report) -> str:
    """The report for people."""
    lines = [
        f"{report.accounts} accounts, {report.transfers} transfers, {report.entries} entries: "
        + ("every balance is the sum of its entries" if report.ok else "the ledger is NOT sound"),
        f"sum over all accounts: {report.sum_cents} centavos",
        f"oldest event in the outbox: {report.outbox_age_seconds:.1f} s",
    ]
    return "\n".join([*lines, *(f"drift: {drift}" for drift in report.drift)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command on the command line."""
    parsed = parser().parse_args(arguments)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    tools, close = _tools(settings.read(OperatorSettings))
    try:
        if parsed.command == "events":
            code = _tail(parsed, tools)
        else:
            outcome = run(parsed, tools)
            sys.stdout.write(outcome.text + "\n")
            code = outcome.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        close()
    sys.exit(code)


def _tail(arguments: argparse.Namespace, tools: Tools) -> int:
    """Prints events until there are no more or, following, until told to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        for line in _lines(arguments, tools, stop):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has seen enough; nor may the interpreter's own last flush complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except TopicUnavailable as error:
        sys.stderr.write(f"Kafka does not answer ({error}). Run it again.\n")
        return AWAY
    return DONE


def _lines(arguments: argparse.Namespace, tools: Tools, stop: threading.Event) -> Iterator[str]:
    return tail.lines(
        tools.reader,
        arguments.last,
        follow=arguments.follow,
        stopped=stop.is_set,
        as_json=arguments.json,
    )


def _tools(config: OperatorSettings) -> tuple[Tools, Callable[[], None]]:
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    tables = Tables(config.table_accounts, config.table_transactions, config.table_events)
    ledger = Ledger(client, tables, config.outbox_shards)
    reader, producer = TopicReader(config), Producer(config)
    tools = Tools(
        auditor=Auditor(client, tables, config.outbox_shards),
        ledger=ledger,
        tracer=Tracer(
            ledger,
            Reader(client, tables, ledger.clock, lambda: None),
            Outbox(client, config.table_events),
            config.outbox_shards,
            timedelta(hours=config.retention_hours_transfers),
        ),
        letters=DeadLetters(reader, producer),
        reader=reader,
    )

    def close() -> None:
        reader.close()
        producer.close()

    return tools, close


if __name__ == "__main__":
    settings.run(main)
