"""Environments for tests: each in a folder and on ports of its own, and gone afterwards."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from environments.local.api import Api
from environments.local.state import State
from environments.local.users import PASSWORD, sign_in

ROOT = Path(__file__).parents[1]
GOBANK = ROOT / "gobank"
T = TypeVar("T")


@dataclass
class Environment:
    """The bank, up in `folder`. `variables` are what its commands see besides this process's own."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> State:
        return State(self.folder)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, **self.variables, "GOBANK_HOME": str(self.folder)}

    @property
    def description(self) -> dict[str, Any]:
        found = self.state.described()
        assert found is not None, "the environment is not up"
        return found

    def gobank(self, *arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [GOBANK, *arguments], env=self.env, capture_output=True, text=True, timeout=timeout, check=False
        )

    def up(self, *arguments: str) -> None:
        done = self.gobank("up", "--detach", *arguments)
        assert done.returncode == 0, done.stderr

    def user(self, email: str) -> Api:
        return Api(self.description["gateway_url"], sign_in(self.description["cognito"], email, PASSWORD))

    def processes(self) -> list[psutil.Process]:
        """Every process of the environment that is alive."""
        supervisor = self.state.supervisor()
        return [*([supervisor] if supervisor else []), *self.state.leftovers()]

    def pid(self, name: str) -> int:
        described = self.description
        kinds = ("services", "simulators", "emulators")
        return int(next(described[kind][name]["pid"] for kind in kinds if name in described[kind]))


@contextmanager
def environment(folder: Path, *arguments: str, **variables: str) -> Iterator[Environment]:
    """The bank, up; down at the end with nothing left."""
    bank = Environment(folder, variables)
    try:
        bank.up(*arguments)
        yield bank
    finally:
        running = bank.processes()
        bank.gobank("down")
        gone(running)


def gone(processes: list[psutil.Process], seconds: float = 15) -> None:
    """Asserts that these processes end."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    left = [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert left == []


def until(read: Callable[[], T], good: Callable[[T], bool], seconds: float = 20) -> T:
    """The first good value, read again and again."""
    deadline = time.monotonic() + seconds
    while True:
        value = read()
        if good(value):
            return value
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        time.sleep(0.02)


def open_account(api: Api, tax_id: str, name: str = "Ana Souza") -> dict[str, Any]:
    """An account with its grant on it."""
    answer = api.post("/accounts", {"name": name, "tax_id": tax_id, "account_type": "CACC"})
    assert answer.status == 201, answer.text
    path = f"/accounts/{answer.body['account_id']}"
    return until(lambda: api.get(path).body, lambda body: body["available_cents"] > 0)


def log_lines(bank: Environment, service: str) -> list[dict[str, Any]]:
    """What a service has logged."""
    text = (bank.folder / "logs" / f"{service}.log").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
