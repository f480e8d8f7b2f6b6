"""What commands say to whoever typed them: results on standard output, everything else on standard error."""

from typing import NoReturn

import typer
from rich.console import Console

from environments.local.state import State, home

said = Console(stderr=True)
shown = Console()


def not_up() -> NoReturn:
    """Ends a command that needs the bank to be up."""
    ended = State(home()).ended
    why = f" It ended: {ended.read_text().strip()}." if ended.exists() else ""
    fail(f"The bank is not up.{why} Start it with `gobank up`.")


def fail(message: str, code: int = 2) -> NoReturn:
    """Ends a command with a message."""
    said.print(f"[red]{message}[/]", highlight=False)
    raise typer.Exit(code)
