"""How a story is told on a terminal: chapters and lines, what must be answered, and what is waited for."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from environments.local.api import Answer

PATIENCE_SECONDS = 20.0


class DemoFailed(Exception):  # noqa: N818
    """Something did not go as the story says."""


class Teller:
    """Says what happens."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def chapter(self, title: str) -> None:
        """Begins another part."""
        self.console.print(f"\n[bold cyan]{title}[/]")

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(f"  {text}", highlight=False)


def reais(cents: int) -> str:
    """Centavos for people: `R$ 1.234,56`."""
    return f"R$ {cents // 100:,}".replace(",", ".") + f",{cents % 100:02d}"


def expect(answer: Answer, status: int) -> Answer:
    """The answer, if it is this one. Raises `DemoFailed`."""
    if answer.status != status:
        raise DemoFailed(f"expected {status}, got {answer.status}: {answer.text}")
    return answer


def until(read: Callable[[], Any], good: Callable[[Any], bool], failure: str) -> Any:
    """What is read, once it is good. Raises `DemoFailed`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        value = read()
        if good(value):
            return value
        if time.monotonic() > deadline:
            raise DemoFailed(failure)
        time.sleep(0.01)
