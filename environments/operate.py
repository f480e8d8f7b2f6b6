"""The operators' commands: each runs as a job of the environment, with the operators' own keys."""

from typing import Annotated, NoReturn

import typer

from environments.local import jobs
from environments.local.lifecycle import NotUp
from environments.local.state import State, home
from environments.terminal import not_up

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON")]
AccountId = Annotated[str, typer.Argument(help="The account's id")]

accounts = typer.Typer(no_args_is_help=True, help="Block, unblock and unfreeze accounts.")
dead_letters = typer.Typer(no_args_is_help=True, help="Records that no worker could handle.")
events = typer.Typer(no_args_is_help=True, help="The topic of transfers.")


def join(app: typer.Typer) -> None:
    """Makes these commands part of another one."""
    app.command()(audit)
    app.command()(trace)
    app.add_typer(accounts, name="accounts")
    app.add_typer(dead_letters, name="dead-letters")
    app.add_typer(events, name="events")


def audit(*, as_json: AsJson = False) -> None:
    """Recompute every balance from its entries. Exit code 1: the ledger is not as it should be."""
    _operate("audit", as_json=as_json)


def trace(transfer_id: Annotated[str, typer.Argument()], *, as_json: AsJson = False) -> None:
    """Tell a transfer's story: request, entries, events with their offsets, decision, log lines, in order."""
    _operate("trace", "--logs", str(State(home()).logs), "--", transfer_id, as_json=as_json)


@accounts.command()
def block(account_id: AccountId, *, as_json: AsJson = False) -> None:
    """Let an account neither pay nor be paid; what is held already still goes its way."""
    _operate("accounts", "block", "--", account_id, as_json=as_json)


@accounts.command()
def unblock(account_id: AccountId, *, as_json: AsJson = False) -> None:
    """End a block."""
    _operate("accounts", "unblock", "--", account_id, as_json=as_json)


@accounts.command()
def unfreeze(account_id: AccountId, *, as_json: AsJson = False) -> None:
    """Let an account that the auditor froze move again, if its audit is clean. Exit code 1: it is not."""
    _operate("accounts", "unfreeze", "--", account_id, as_json=as_json)


@dead_letters.command(name="list")
def list_dead_letters(*, as_json: AsJson = False) -> None:
    """All dead letters, oldest first."""
    _operate("dead-letters", "list", as_json=as_json)


@dead_letters.command()
def show(
    letter_id: Annotated[str, typer.Argument(help="PARTITION:OFFSET, as `list` says")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Every byte as it was, in base64")] = False,
    as_json: AsJson = False,
) -> None:
    """One dead letter: its data, headers, where it stood, and why it left."""
    _operate("dead-letters", "show", *(["--raw"] if raw else []), "--", letter_id, as_json=as_json)


@dead_letters.command()
def replay(
    letter_ids: Annotated[list[str], typer.Argument(help="PARTITION:OFFSET, as `list` says")],
    *,
    as_json: AsJson = False,
) -> None:
    """Put original records back on their topic, once what they died of is mended."""
    _operate("dead-letters", "replay", "--", *letter_ids, as_json=as_json)


@events.command(name="tail")
def tail_events(
    *,
    lines: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many of the last events")] = 20,
    follow: Annotated[bool, typer.Option("-f", help="Go on as new events come")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the newest events of the topic."""
    arguments = ["events", "tail", "-n", str(lines), *(["-f"] if follow else [])]
    _operate(*arguments, as_json=as_json)


def _operate(*arguments: str, as_json: bool) -> NoReturn:
    """Runs an operators' command with their role's keys, and ends as it ends."""
    if as_json:
        # Before the `--` that keeps an id from being read as an option.
        place = arguments.index("--") if "--" in arguments else len(arguments)
        arguments = (*arguments[:place], "--json", *arguments[place:])
    try:
        raise typer.Exit(jobs.show(State(home()), "operators", arguments))
    except NotUp:
        not_up()
