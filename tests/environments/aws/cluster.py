"""A cluster that a test brings: it answers as kubectl does, of one Job that goes the way that it is told."""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from environments.aws.kubectl import ClusterFailed
from environments.clock import Clock

POD = "operators-0123456789-abcde"
PENDING: dict[str, Any] = {"phase": "Pending"}
RUNNING: dict[str, Any] = {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}
NO_POD: dict[str, Any] = {}


def waits(reason: str) -> dict[str, Any]:
    return {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": reason}}}]}


def ended(code: int, reason: str = "") -> dict[str, Any]:
    terminated = {"exitCode": code, "reason": reason or ("Error" if code else "Completed")}
    phase = "Failed" if code else "Succeeded"
    return {"phase": phase, "containerStatuses": [{"state": {"terminated": terminated}}]}


@dataclass
class FakeCluster:
    """`looks` are what the pod is at each look, the last one for ever. `streams` are what each
    `logs --follow` brings before it breaks off, `log` what the program said in all."""

    looks: Sequence[dict[str, Any]]
    log: Sequence[str] = ()
    streams: list[Sequence[str]] = field(default_factory=list)
    events: Sequence[dict[str, Any]] = ()
    conditions: Sequence[dict[str, Any]] = ()
    fails: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False
    asked: list[str] = field(default_factory=list)
    created: Any = None

    def ask(self, *arguments: str, text: str = "") -> str:
        verb = " ".join(arguments[:2]) if arguments[0] == "get" else arguments[0]
        self.asked.append(verb)
        if self.fails.get(verb, 0) > 0:
            self.fails[verb] -= 1
            raise ClusterFailed(f"kubectl {verb}: no")
        match verb:
            case "create":
                self.created = json.loads(text)
            case "logs":
                return "".join(self.log)
            case "get pods":
                pod = self._look()
                return json.dumps({"items": [{"metadata": {"name": POD}, "status": pod}] if pod else []})
            case "get pod":
                pod = self._look()
                return json.dumps({"metadata": {"name": POD}, "status": pod}) if pod else ""
            case "get job":
                return json.dumps({"status": {"conditions": list(self.conditions)}})
            case "get events":
                return json.dumps({"items": list(self.events)})
        return ""

    def lines(self, *arguments: str) -> Generator[str]:
        self.asked.append(" ".join(arguments[:2]))
        yield from self.streams.pop(0) if self.streams else self.log
        if self.interrupted:
            raise KeyboardInterrupt

    def _look(self) -> dict[str, Any]:
        now, *later = self.looks
        self.looks = later or [now]
        return now


def clock() -> Clock:
    """One on which waiting takes no time."""
    seconds = [0.0]

    def sleep(more: float) -> None:
        seconds[0] += more

    return Clock(lambda: seconds[0], sleep)
