"""The `gobank` command."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.table import Column, Table

from apps.catalog import CATALOG
from environments import operate, plans
from environments.local import lifecycle, processes
from environments.local.lifecycle import NotUp, UpFailed
from environments.local.state import State, home
from environments.local.supervisor import Options, tail
from environments.preview import commands as previews
from environments.terminal import fail, not_up, said, shown

MAX_REPLICAS = 8

app = typer.Typer(no_args_is_help=True, add_completion=False, help="GO Banking on this machine.")
operate.join(app)


@app.callback()
def gobank(context: typer.Context) -> None:
    """GO Banking on this machine."""
    if context.invoked_subcommand not in {"preview", *operate.COMMANDS}:  # these work on AWS too
        processes.forget_ambient()


@app.command()
def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running and come back")] = False,
    port: Annotated[int | None, typer.Option(help="The gateway's port, 1 to 65535")] = None,
    kafka: Annotated[str | None, typer.Option(help="`apache`, or HOST:PORT of a broker you have")] = None,
    dynamodb: Annotated[str | None, typer.Option(help="URL of a DynamoDB that you have")] = None,
    replicas: Annotated[
        list[str] | None, typer.Option(help="WORKER=N: so many processes of it; may be repeated")
    ] = None,
) -> None:
    """Bring the bank up: emulators, tables, topics, roles, users and every service."""
    state = State(home())
    options = Options(
        port=_port(port), kafka=_kafka(kafka), dynamodb=_url(dynamodb), replicas=_replicas(replicas or [])
    )
    if state.supervisor() is not None and (description := state.described()) is not None:
        if options != Options():
            fail(f"The bank is up already: {description['gateway_url']}. Take it down first: gobank down.")
        said.print(f"The bank is up already: {description['gateway_url']}")
        return
    if port is not None and _taken(port):
        fail(f"--port {port}: something else listens there. Name another port, or leave it out.")
    supervisor = _launched(state, options)
    if detach:
        _say_up(state)
    else:
        _follow(state, supervisor)


@app.command()
def down() -> None:
    """Take the bank down, also what a crash has left behind."""
    said.print("The bank is down." if lifecycle.down(State(home())) else "Nothing was up.")


@app.command()
def status() -> None:
    """Show what runs where."""
    state = State(home())
    description = _description(state)
    table = Table("what", "pid", "state", "resident", Column("where", overflow="fold"))
    for kind in ("emulators", "simulators", "services"):
        for name, each in description[kind].items():
            alive, resident = _alive(each["pid"])
            table.add_row(name, str(each["pid"]), alive, resident, each.get("url", each["log"]))
    shown.print(table)
    shown.print(f"gateway {description['gateway_url']}   Kafka {description['kafka_bootstrap']}")


@app.command()
def url() -> None:
    """Print the gateway's URL, and nothing else."""
    sys.stdout.write(_description(State(home()))["gateway_url"] + "\n")


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help="A service or an emulator")],
    *,
    lines: Annotated[int, typer.Option("-n", min=1, help="How many of the last lines")] = 50,
    follow: Annotated[bool, typer.Option("-f", help="Go on as new lines come")] = False,
) -> None:
    """Show what a service says."""
    state = State(home())
    path = state.logs / f"{service}.log"
    known = sorted(each.stem for each in state.logs.glob("*.log"))
    if service not in known:
        fail(
            f"SERVICE '{service}': no such log. There are: {', '.join(known) or 'none, nothing was up yet'}."
        )
    for line in tail(path, lines):
        sys.stdout.write(line + "\n")
    if follow:
        for line in _new_lines(path, state):
            sys.stdout.write(line)
            sys.stdout.flush()


@app.command()
def login(
    email: Annotated[str, typer.Argument(help="Who: created and confirmed if new")],
    password: Annotated[str | None, typer.Option(help="The password; a default one if left out")] = None,
) -> None:
    """Sign a user in by SRP and print the access token, and nothing else."""
    from environments.local.users import PASSWORD, SignInFailed, sign_in  # noqa: PLC0415 (slow to import)

    if "@" not in email:
        fail(f"EMAIL '{email}': must be an e-mail address, such as ana@example.com.")
    description = _description(State(home()))
    try:
        sys.stdout.write(sign_in(description["cognito"], email, password or PASSWORD) + "\n")
    except SignInFailed as error:
        fail(f"{error}.")


@app.command()
def demo(*, as_json: Annotated[bool, typer.Option("--json", help="Print only the result")] = False) -> None:
    """Tell the story: two users, one transfer, from sign-up to audit."""
    from environments.local.demo import Demo  # noqa: PLC0415 (slow to import)
    from environments.local.telling import DemoFailed  # noqa: PLC0415 (with it)

    state = State(home())
    ours = state.supervisor() is None
    if ours:
        _launched(state, Options())
    try:
        story = Demo(state, _description(state), said if as_json else shown)
        story.tell()
    except DemoFailed as error:
        fail(f"The demo failed: {error}", code=1)
    finally:
        if ours:
            lifecycle.down(state)
    if as_json:
        sys.stdout.write(json.dumps(story.result) + "\n")
    elif ours:
        said.print("\nEverything is taken down again. `make up` starts the bank and leaves it running.")


app.command()(plans.cost)
app.command()(plans.diagram)
app.add_typer(previews.app, name="preview")


def _launched(state: State, options: Options) -> subprocess.Popen[str]:
    """Starts the bank. From here on a closed terminal or a SIGTERM is a Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with said.status("starting") as spinner:

            def step(what: str) -> None:
                spinner.update(what)
                said.print(f"  {what}", style="dim", highlight=False)

            return lifecycle.launch(state, options, step)
    except UpFailed as failed:
        for line in failed.log:
            said.print(f"  {line}", style="dim", highlight=False, markup=False)
        # Some of them are sentences already.
        fail(
            f"The bank did not come up: {str(failed).removesuffix('.')}. Nothing of it is left running.",
            code=1,
        )
    except KeyboardInterrupt:
        fail("Stopped. Nothing is left running.", code=130)


def _say_up(state: State) -> None:
    description = lifecycle.description(state)
    said.print(
        f"[green]The bank is up[/] after {description['seconds']} s: {description['gateway_url']} (see /docs)"
    )


def _follow(state: State, supervisor: subprocess.Popen[str]) -> None:
    """Stays until the environment ends, by Ctrl-C or by itself; whatever ends this ends the environment."""
    assert supervisor.stdout is not None
    try:
        _say_up(state)
        said.print("Ctrl-C takes it down.")
        for line in supervisor.stdout:
            told = json.loads(line)
            if "ended" in told:
                said.print(f"[red]{told['ended']}[/]")
        supervisor.wait()
    except KeyboardInterrupt:
        said.print("taking the bank down")
        return
    finally:
        # Also where the terminal is closed and a message raises.
        if supervisor.poll() is None:
            lifecycle.down(state)
            supervisor.wait()
    if supervisor.returncode < 0:
        lifecycle.down(state)
        fail(f"The supervisor was killed (signal {-supervisor.returncode}). Nothing is left running.", code=1)
    raise typer.Exit(supervisor.returncode)


def _description(state: State) -> dict[str, Any]:
    try:
        return lifecycle.description(state)
    except NotUp:
        not_up()


def _port(value: int | None) -> int | None:
    if value is not None and not 0 < value < 65536:
        fail(f"--port {value}: must be a port of TCP, 1 to 65535.")
    return value


def _kafka(value: str | None) -> str | None:
    if value is None or value == "apache":
        return value
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        fail(f"--kafka '{value}': must be `apache` or HOST:PORT, such as 127.0.0.1:9092.")
    return value


def _url(value: str | None) -> str | None:
    if value is not None and not value.startswith(("http://", "https://")):
        fail(f"--dynamodb '{value}': must be a URL, such as http://127.0.0.1:8000.")
    return value


def _replicas(values: list[str]) -> dict[str, int]:
    workers = sorted(each.name for each in CATALOG.services if each.kind == "worker")
    replicas: dict[str, int] = {}
    for value in values:
        name, _, number = value.partition("=")
        if name not in workers:
            # Nobody here spreads the requests that an API would share with another one.
            fail(f"--replicas '{value}': only a worker can have more than one process: {', '.join(workers)}.")
        if not number.isdecimal() or not 1 <= int(number) <= MAX_REPLICAS:
            fail(f"--replicas '{value}': must be WORKER=N with N from 1 to {MAX_REPLICAS}.")
        replicas[name] = int(number)
    return replicas


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _alive(pid: int) -> tuple[str, str]:
    try:
        process = psutil.Process(pid)
        return process.status(), f"{process.memory_info().rss / 2**20:.0f} MiB"
    except psutil.NoSuchProcess:
        return "gone, restarting", ""


def _new_lines(path: Path, state: State) -> Iterator[str]:
    with path.open() as log:
        log.seek(0, 2)
        while state.supervisor() is not None:
            if line := log.readline():
                yield line
            else:
                time.sleep(0.1)


if __name__ == "__main__":
    app(prog_name="gobank")
