"""`gobank cost` and `gobank diagram`: what a stack would be, from its settings alone."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

if TYPE_CHECKING:
    from environments.blueprint import Blueprint

said = Console(stderr=True)

Stack = Annotated[str, typer.Argument(help="A stack with a file Pulumi.STACK.yaml")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="A setting otherwise, KEY=VALUE; may be given again")
]


def cost(
    stack: Stack,
    *,
    changes: Changes = None,
    busy: Annotated[bool | None, typer.Option("--busy/--quiet", help="How much it is used")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the estimate as JSON")] = False,
) -> None:
    """Estimate what a stack costs in a month, and what would make it cheaper."""
    from environments.cost import BUSY, QUIET, UnknownRegion, estimate, report  # noqa: PLC0415 (slow to import)
    from environments.levers import levers  # noqa: PLC0415

    drawn = _drawn_up(stack, changes or [])
    usage = BUSY if (drawn.kind == "prod" if busy is None else busy) else QUIET
    try:
        found = estimate(drawn.resources, drawn.region, usage)
    except UnknownRegion as error:
        _fail(f"{error}.")
    cheaper = levers(drawn.resources, drawn.region, usage, disposable=drawn.kind != "prod")
    if as_json:
        document = {
            **asdict(found),
            "total_usd": round(found.total, 2),
            "levers": [asdict(each) for each in cheaper],
        }
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        sys.stdout.write(report(found, cheaper) + "\n")


def diagram(
    stack: Stack = "dev",
    *,
    changes: Changes = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file, instead of the terminal")
    ] = None,
) -> None:
    """Draw the architecture of a stack as SVG."""
    drawn = _drawn_up(stack, changes or [])
    from apps.catalog import CATALOG  # noqa: PLC0415
    from environments.diagram import diagram as draw  # noqa: PLC0415 (slow to import)

    picture = draw(drawn.resources, CATALOG)
    if output is None:
        sys.stdout.write(picture)
    else:
        output.write_text(picture)


def _drawn_up(stack: str, changes: list[str]) -> "Blueprint":
    try:
        from environments.blueprint import NoStack, draw_up  # noqa: PLC0415 (slow to import)
    except ModuleNotFoundError as missing:
        _fail(f"{missing}: the AWS program's packages are not installed. Run `make .venv/dev`.")
    try:
        return draw_up(stack, dict(_change(each) for each in changes))
    except NoStack as error:
        _fail(str(error))


def _change(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        _fail(f"--set '{text}': must be KEY=VALUE, such as --set natPerZone=true.")
    return (key if ":" in key else f"gobanking:{key}"), value


def _fail(message: str) -> NoReturn:
    said.print(message, style="red", highlight=False, markup=False)
    raise typer.Exit(2)
