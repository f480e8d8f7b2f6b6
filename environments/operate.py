"""The operators' commands: each runs as a job of the environment, with the operators' own keys."""

from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from environments.aws import operators
from environments.local import jobs, lifecycle, processes
from environments.local.lifecycle import NotUp
from environments.local.state import State, home
from environments.terminal import fail, not_up, said

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON")]
Stack = Annotated[
    str | None,
    typer.Option("--stack", help="On AWS, as a Job: the Pulumi stack whose bank it is; else this machine's"),
]
AccountId = Annotated[str, typer.Argument(help="The account's id")]
COMMANDS = frozenset({"audit", "trace", "accounts", "dead-letters", "events"})
"""They use the caller's own AWS keys with `--stack`, and without it none of them."""

accounts = typer.Typer(no_args_is_help=True, help="Block, unblock and unfreeze accounts.")
dead_letters = typer.Typer(no_args_is_help=True, help="Records that no worker could handle.")
events = typer.Typer(no_args_is_help=True, help="The topic of transfers.")
services = typer.Typer(no_args_is_help=True, help="The bank's services, apart from what they stand on.")


def join(app: typer.Typer) -> None:
    """Makes these commands part of another one."""
    app.command()(audit)
    app.command()(trace)
    app.add_typer(accounts, name="accounts")
    app.add_typer(dead_letters, name="dead-letters")
    app.add_typer(events, name="events")
    app.add_typer(services, name="services")


def audit(
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="After a restore: write what can be derived")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --repair: only say what it would do")
    ] = False,
    as_json: AsJson = False,
    stack: Stack = None,
) -> None:
    """Recompute every balance from its entries. Exit code 1: the ledger is not as it should be.

    With --repair, after a restore and with the services off: write what one table lacks and the others prove,
    and name what cannot be derived. Exit code 1: something is left, or services run.
    """
    if not repair:
        if dry_run:
            fail("--dry-run: an audit writes nothing; it goes with --repair.")
        _operate("audit", as_json=as_json, stack=stack)
    if stack is None and _services_run():
        fail("Services are running. Stop them first: gobank services stop.", code=1)
    _operate(*(["--dry-run"] if dry_run else []), as_json=as_json, stack=stack, job="repair_ledger")


def trace(
    transfer_id: Annotated[str, typer.Argument()], *, as_json: AsJson = False, stack: Stack = None
) -> None:
    """Tell a transfer's story: request, entries, events with their offsets, decision, log lines, in order."""
    logs = ["--logs", str(State(home()).logs)] if stack is None else []
    _operate("trace", *logs, "--", transfer_id, as_json=as_json, stack=stack)


@accounts.command()
def block(account_id: AccountId, *, as_json: AsJson = False, stack: Stack = None) -> None:
    """Let an account neither pay nor be paid; what is held already still goes its way."""
    _operate("accounts", "block", "--", account_id, as_json=as_json, stack=stack)


@accounts.command()
def unblock(account_id: AccountId, *, as_json: AsJson = False, stack: Stack = None) -> None:
    """End a block."""
    _operate("accounts", "unblock", "--", account_id, as_json=as_json, stack=stack)


@accounts.command()
def unfreeze(account_id: AccountId, *, as_json: AsJson = False, stack: Stack = None) -> None:
    """Let an account that the auditor froze move again, if its audit is clean. Exit code 1: it is not."""
    _operate("accounts", "unfreeze", "--", account_id, as_json=as_json, stack=stack)


@dead_letters.command(name="list")
def list_dead_letters(*, as_json: AsJson = False, stack: Stack = None) -> None:
    """All dead letters, oldest first."""
    _operate("dead-letters", "list", as_json=as_json, stack=stack)


@dead_letters.command()
def show(
    letter_id: Annotated[str, typer.Argument(help="PARTITION:OFFSET, as `list` says")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Every byte as it was, in base64")] = False,
    as_json: AsJson = False,
    stack: Stack = None,
) -> None:
    """One dead letter: its data, headers, where it stood, and why it left."""
    if raw and stack is not None:
        fail(
            "--raw: not with --stack. What a Job prints stays in the cluster's logs, and this masks nothing."
        )
    _operate(
        "dead-letters", "show", *(["--raw"] if raw else []), "--", letter_id, as_json=as_json, stack=stack
    )


@dead_letters.command()
def replay(
    letter_ids: Annotated[list[str], typer.Argument(help="PARTITION:OFFSET, as `list` says")],
    *,
    as_json: AsJson = False,
    stack: Stack = None,
) -> None:
    """Put original records back on their topic, once what they died of is mended."""
    _operate("dead-letters", "replay", "--", *letter_ids, as_json=as_json, stack=stack)


@events.command(name="tail")
def tail_events(
    *,
    lines: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many of the last events")] = 20,
    follow: Annotated[bool, typer.Option("-f", help="Go on as new events come")] = False,
    as_json: AsJson = False,
    stack: Stack = None,
) -> None:
    """Show the newest events of the topic."""
    arguments = ["events", "tail", "-n", str(lines), *(["-f"] if follow else [])]
    _operate(*arguments, as_json=as_json, stack=stack)


@services.command(name="stop")
def stop_services() -> None:
    """Stop every service; tables and topics stay up. For a repair, which nobody may disturb."""
    _switch(lifecycle.services_off, "The services are off. Start them again: gobank services start.")


@services.command(name="start")
def start_services() -> None:
    """Start the services again."""
    _switch(lifecycle.services_on, "The services are on.")


def _switch(to: Callable[[State], None], done: str) -> None:
    try:
        to(State(home()))
    except NotUp:
        not_up()
    except TimeoutError as error:
        fail(f"{error}. See: gobank status.", code=3)
    said.print(done)


def _services_run() -> bool:
    try:
        return bool(lifecycle.description(State(home()))["services"])
    except NotUp:
        not_up()


def _operate(*arguments: str, as_json: bool, stack: str | None, job: str = "operators") -> NoReturn:
    """Runs an operators' command with their role's keys, or another job's, and ends as it ends."""
    if as_json:
        # Before the `--` that keeps an id from being read as an option.
        place = arguments.index("--") if "--" in arguments else len(arguments)
        arguments = (*arguments[:place], "--json", *arguments[place:])
    if stack is not None:
        raise typer.Exit(operators.operated(stack, arguments, job))
    processes.forget_ambient()
    try:
        raise typer.Exit(jobs.show(State(home()), job, arguments))
    except NotUp:
        not_up()
