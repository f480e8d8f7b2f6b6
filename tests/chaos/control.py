"""The other end of `faults`: a test says what is to go wrong in which process, and reads what did.

A rule names a `service` (or `*`), what to `do`, and for most kinds a `call` (its name, or the beginning of
it up to a space) and `at` which point of it, `before` or `after`:

- `kill`, `stop`: the process gets SIGKILL, or SIGSTOP, by its own hand;
- `delay`: it waits for up to `seconds`;
- `fail`: the call gets the error `code` from DynamoDB, or breaks off; `before` means that it was never sent,
  `after` that it was and nobody learns what became of it;
- `lose`: the call is done and its reply does not arrive;
- `duplicate`: a record is sent twice, or what a poll gave is given twice, after what earlier polls gave;
- `reorder`: what a poll gave of a partition comes in another order;
- `newer`: what a poll gave is of a version that the handler does not know;
- `clock`: the service's clock is off by `seconds`.

`times` ends a rule after so many times, in all lives of the process together; `chance` makes it rarer.
"""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

INSTRUMENT = Path(__file__).with_name("faults.py")
Kind = Literal["kill", "stop", "delay", "fail", "lose", "duplicate", "reorder", "newer", "clock"]
Point = Literal["before", "after"]


@dataclass
class Faults:
    """The faults of the environment in `folder`. Make it before the environment comes up."""

    folder: Path
    _rules: dict[int, dict[str, Any]] = field(default_factory=dict)
    _recording: str | None = None
    _last: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        (self.folder / "faults" / "claims").mkdir(parents=True)
        self._write()

    @property
    def variables(self) -> dict[str, str]:
        """What `gobank up` needs to see: the faults, and that what they kill comes back at once."""
        return {"GOBANK_INSTRUMENT": str(INSTRUMENT), "GOBANK_BACKOFF_SECONDS": "0.05"}

    def add(self, service: str, do: Kind, **rule: Any) -> int:
        """Switches a fault on, from the next call; gives its number."""
        with self._lock:
            self._last += 1
            self._rules[self._last] = {"id": self._last, "service": service, "do": do, **rule}
            self._write()
            return self._last

    def remove(self, *numbers: int) -> None:
        """Switches faults off."""
        with self._lock:
            for number in numbers:
                self._rules.pop(number, None)
            self._write()

    def clear(self) -> None:
        """Switches all faults off."""
        with self._lock:
            self._rules.clear()
            self._write()

    def record(self, name: str | None) -> None:
        """Has every process write its calls down, each once for this recording; without a name, no more."""
        with self._lock:
            self._recording = name
            self._write()

    def seen(self, name: str) -> dict[str, list[str]]:
        """The calls of a recording by service, in the order of their first time."""
        found = {
            service: list(dict.fromkeys(line["seen"] for line in lines if line.get("in") == name))
            for service, lines in self._journals()
        }
        return {service: calls for service, calls in found.items() if calls}

    def fired(self, number: int | None = None) -> list[dict[str, Any]]:
        """What was done: each time with the rule's number, the call, the point and the process."""
        return [
            {"service": service, **line}
            for service, lines in self._journals()
            for line in lines
            if "fired" in line and number in {None, line["fired"]}
        ]

    def _journals(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        for path in sorted((self.folder / "faults").glob("*.jsonl")):
            # The last line of a process that is writing, or was killed while it did, may be half a line.
            whole = path.read_text().rpartition("\n")[0]
            yield path.stem, [json.loads(line) for line in whole.splitlines()]

    def _write(self) -> None:
        control = self.folder / "faults" / "control.json"
        fresh = control.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({"rules": list(self._rules.values()), "recording": self._recording}))
        fresh.replace(control)
