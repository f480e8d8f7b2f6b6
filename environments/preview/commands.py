"""`gobank preview`: a bank for a branch, on a base that others share."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from environments.local.processes import ROOT
from environments.local.state import home
from environments.preview import git, listing
from environments.preview.lifetime import lifetime
from environments.preview.names import Refused, given_name, stack_name
from environments.preview.pulumi_cli import PulumiCli, PulumiFailed, find
from environments.preview.stacks import Failed, Stacks

if TYPE_CHECKING:
    from environments.preview.engine import Engine
    from environments.preview.estimate import Estimate
    from environments.preview.operations import Changes, Previews, Standing

app = typer.Typer(no_args_is_help=True, help="A bank for a branch on AWS, on a base that others share.")
said = Console(stderr=True, soft_wrap=True)
shown = Console(soft_wrap=True)
"""Neither breaks a line: programs read it too, and a broken URL or command is of no use."""

Backend = Annotated[
    str, typer.Option(envvar="PULUMI_BACKEND_URL", help="Where stacks are kept; the CLI's login if left out")
]
Secrets = Annotated[
    str,
    typer.Option(
        envvar="GOBANK_SECRETS_PROVIDER",
        help="What encrypts secrets in the state, such as awskms://alias/previews?region=sa-east-1",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing")]
Remote = Annotated[str, typer.Option(help="The Git remote whose branches count")]


@app.command()
def up(
    *,
    branch: Annotated[str, typer.Option(help="The branch; the one that is checked out if left out")] = "",
    ttl: Annotated[str, typer.Option(help="How long it may live from now: 90m, 24h, 3d")] = "24h",
    base: Annotated[str, typer.Option(help="The stack to build on")] = "dev",
    pr: Annotated[str, typer.Option(help="The number of its pull request")] = "",
    owner: Annotated[
        str, typer.Option(envvar="GOBANK_OWNER", help="Whose it is; Git's user if left out")
    ] = "",
    images: Annotated[
        Path | None, typer.Option(help="A file of SERVICE=REFERENCE@sha256:DIGEST; built if left out")
    ] = None,
    remote: Remote = "origin",
    smoke: Annotated[bool, typer.Option("--smoke/--no-smoke", help="Try it out through its URL")] = True,
    dry_run: DryRun = False,
    backend: Backend = "",
    secrets_provider: Secrets = "",
) -> None:
    """Bring a branch's preview up, or up to date; then try it out."""
    with _told():
        branch = branch or git.current_branch(ROOT)
        stack_name(branch)  # what is refused is refused before anything slow
        lifetime(ttl)
        given = _images(images)
        previews = _previews(backend, secrets_provider)
        from environments.preview.operations import Asked  # noqa: PLC0415 (slow to import)

        branches = git.remote_branches(ROOT, remote)
        plan = previews.planned(Asked(branch, ttl, base, pr, owner or git.owner(ROOT), given, branches))
        if dry_run:
            _say_rehearsed(plan.record.name, previews.rehearsed(plan))
        else:
            standing = previews.up(plan)
            passed = _smoked(standing) if smoke else True
            _say_up(standing)
            if not passed:
                raise typer.Exit(1)


@app.command()
def down(
    *,
    branch: Annotated[str, typer.Option(help="The branch; the one that is checked out if left out")] = "",
    stack: Annotated[str, typer.Option(help="The preview's own name, instead of a branch")] = "",
    dry_run: DryRun = False,
    backend: Backend = "",
    secrets_provider: Secrets = "",
) -> None:
    """Take a preview away, and show that nothing is left."""
    with _told():
        if stack:
            name, branch = given_name(stack), ""
        else:
            branch = branch or git.current_branch(ROOT)
            name = stack_name(branch)
        previews = _previews(backend, secrets_provider)
        if name not in previews.listed().stacks:
            said.print(f"There is no {name}: nothing to take down.", highlight=False)
        elif dry_run:
            said.print(f"{name} would be taken down.", highlight=False)
        else:
            _gone(previews, name, branch)


@app.command("ls")
def list_previews(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON")] = False,
    backend: Backend = "",
) -> None:
    """List the previews: age, time left, cost, URL."""
    with _told():
        found = _stacks(backend, "").listed()
        rows = listing.rows(found.records, dict(found.updated), _now())
        for name in sorted(found.untold):
            said.print(f"{name}: looks like a preview, and its tags say nothing", highlight=False)
        if as_json:
            sys.stdout.write(json.dumps([row.document() for row in rows]) + "\n")
            return
        for line in listing.table(rows) if rows else ():
            shown.print(line, highlight=False, markup=False)
        if not rows:
            said.print("There is no preview.")


@app.command()
def sweep(
    *,
    remote: Remote = "origin",
    dry_run: DryRun = False,
    backend: Backend = "",
    secrets_provider: Secrets = "",
) -> None:
    """Take away what is past its time, stuck, or has lost its branch or its base."""
    with _told():
        previews = _previews(backend, secrets_provider)
        branches = git.remote_branches(ROOT, remote)
        if branches is None:
            said.print(f"The branches of {remote} are not known: none counts as gone.", highlight=False)
        found, unknown, failures = previews.swept(branches, dry_run=dry_run)
        word = "would go" if dry_run else "due"
        for each in found:
            shown.print(f"{each.name} {word}: {each.reason}", highlight=False)
        for name in unknown:
            said.print(
                f"{name} looks like a preview, holds something and its tags say nothing. Judge it yourself: "
                f"gobank preview down --stack {name}",
                highlight=False,
            )
        for failure in failures:
            said.print(failure, style="red", highlight=False, markup=False)
        if not found:
            said.print("Nothing is due.")
        if failures:
            raise typer.Exit(1)


@dataclass
class _Engines:
    """The engine, once it is needed: it is slow to import."""

    command: str
    variables: dict[str, str]
    secrets_provider: str

    def __call__(self) -> "Engine":
        from environments.preview.engine import Engine  # noqa: PLC0415

        return Engine(self.command, self.variables, _program, self.secrets_provider)


def _program() -> None:
    """The AWS program, imported when it is run: what is taken away does not need it."""
    from environments.preview import bank  # noqa: PLC0415

    bank.run()


def _stacks(backend: str, secrets_provider: str) -> Stacks:
    command = find(ROOT)
    variables = {"PULUMI_BACKEND_URL": backend} if backend else {}
    return Stacks(
        root=ROOT,
        home=home() / "previews",
        backend=backend,
        secrets_provider=secrets_provider,
        cli=PulumiCli(command, variables),
        engine=_Engines(command, variables, secrets_provider),
    )


def _previews(backend: str, secrets_provider: str) -> "Previews":
    stacks = _stacks(backend, secrets_provider)
    try:
        from environments.preview.operations import Previews  # noqa: PLC0415 (slow to import)
        from environments.preview.remains import remains  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise Refused(
            f"{missing}: the AWS program's packages are not installed. Run `make .venv/dev`."
        ) from None

    def say(step: str) -> None:
        said.print(f"  {step}", style="dim", highlight=False, markup=False)

    return Previews(ROOT, stacks, _now, say, remains)


def _images(path: Path | None) -> tuple[str, ...]:
    from environments.preview.settings import given_images  # noqa: PLC0415

    if path is None:
        return ()
    try:
        return given_images(path.read_text())
    except OSError as error:
        raise Refused(f"--images '{path}': cannot be read: {error.strerror}.") from None


def _smoked(standing: "Standing") -> bool:
    from environments.preview.trial import trial  # noqa: PLC0415 (slow to import)

    verdict = trial(standing, lambda step: said.print(f"  {step}", highlight=False, markup=False))
    said.print(str(verdict), style="green" if verdict.passed else "red", highlight=False)
    return verdict.passed


def _say_up(standing: "Standing") -> None:
    record = standing.record
    cost = "" if record.usd_a_day is None else f", about {record.usd_a_day:.2f} USD a day"
    shown.print(record.url, highlight=False)
    said.print(
        f"{record.name} is up until {record.expires:%Y-%m-%d %H:%M} UTC{cost}. "
        f"Remove it: gobank preview down --branch '{record.branch}'",
        highlight=False,
        markup=False,
    )


def _say_rehearsed(name: str, found: "Estimate | Changes") -> None:
    from environments.preview.operations import Changes  # noqa: PLC0415 (slow to import)

    if isinstance(found, Changes):
        for step in found.steps:
            shown.print(f"  {step}", highlight=False, markup=False)
        shown.print(f"{name} is there: {found.resources or 'no'} resources would change.", highlight=False)
        return
    for kind, count in found.types.items():
        shown.print(f"  + {count} {kind}", highlight=False)
    cost = "an unknown price" if found.usd_a_day is None else f"about {found.usd_a_day:.2f} USD"
    shown.print(
        f"{name} would be created: {sum(found.types.values())} resources, {cost} a day.", highlight=False
    )


def _gone(previews: "Previews", name: str, branch: str) -> None:
    from environments.preview.remains import CannotTell  # noqa: PLC0415

    try:
        left = previews.down(name, branch or None)
    except CannotTell as reason:
        said.print(f"{name} is gone: its stack is listed no more. {reason}", highlight=False)
        return
    for arn in left:
        shown.print(arn, highlight=False)
    if left:
        said.print(
            f"{name} is gone, and AWS still lists what stands above. What was deleted just now goes from "
            "that list in some minutes; delete by hand what does not.",
            highlight=False,
        )
        raise typer.Exit(1)
    said.print(f"{name} is gone: no stack is listed, and nothing on AWS has its tag.", highlight=False)


@contextmanager
def _told() -> Iterator[None]:
    """Messages instead of tracebacks. A SIGTERM, as CI sends it, is a Ctrl-C."""
    # Pulumi's CLI runs in our group and hears both too; it then ends after the step that it is at.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
    try:
        yield
    except Refused as refused:
        _fail(str(refused), 2)
    except (Failed, PulumiFailed) as failed:
        _fail(str(failed), 1)
    except KeyboardInterrupt:
        _fail("Stopped on the way. What stands is recorded: run the same command again to go on.", 130)


def _fail(message: str, code: int) -> NoReturn:
    said.print(message, style="red", highlight=False, markup=False)
    raise typer.Exit(code)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
