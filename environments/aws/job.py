"""One run of a program in a stack's cluster: a Job made for it, its output as it comes, its exit code.

The manifest is the one that the stack exports (`platform/manifests.py`); a run adds a name and arguments.
Whatever happens, Ctrl-C included, the Job is deleted at the end; if that fails, it ends by its own deadline.
"""

import json
import signal
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from typing import Any, Protocol

from environments.aws.kubectl import ClusterFailed, NoTools
from environments.clock import Clock

START_SECONDS = 300.0
"""A node may have to be added, and the image pulled onto it."""
PAUSE_SECONDS = 1.0
GRACE_SECONDS = 120.0
"""After a Job's own deadline, before the cluster counts as one that does not keep it."""
HOPELESS = frozenset(
    {
        "ImagePullBackOff",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
"""Why a container waits that will go on waiting. `ErrImagePull` alone may be over at the next try."""
QUESTIONS = 3
OF_JOB = "batch.kubernetes.io/job-name"
IMAGE_ADVICE = "Is its image still in the registry? `pulumi up` names the present one."
POD_ADVICE = (
    "Where a quota is full, another command may be running: try again. Where something is missing: pulumi up."
)
ROOM_ADVICE = "Is there room on a node (gobanking:maxNodes), and are the nodes ready?"
EXPECTED = frozenset({"Completed", "Error"})

Json = Mapping[str, Any]


class NotDone(Exception):  # noqa: N818
    """The program did not start, or was ended. The message says why, and what to look at."""


class Cluster(Protocol):
    """What runs kubectl, see `environments.aws.kubectl`."""

    def ask(self, *arguments: str, text: str = "") -> str: ...
    def lines(self, *arguments: str) -> Generator[str]: ...


def job_name(service: str) -> str:
    """A name that no other run has, also within the limits of its pod's name and of a label."""
    return f"{service[:40].replace('_', '-')}-{uuid.uuid4().hex[:10]}"


def run_of(job: Json, name: str, arguments: Sequence[str], seconds: int | None = None) -> dict[str, Any]:
    """A stack's Job for one run. `seconds` is a deadline nearer than its own."""
    spec, template = job["spec"], job["spec"]["template"]
    longest: int = spec["activeDeadlineSeconds"]
    (container,) = template["spec"]["containers"]
    # Kubernetes puts variables into arguments, `$(NAME)`, unless a dollar is doubled.
    told = {**container, "args": [each.replace("$", "$$") for each in arguments]}
    return {
        **job,
        "metadata": {**job["metadata"], "name": name},
        "spec": {
            **spec,
            "activeDeadlineSeconds": min(seconds or longest, longest),
            "template": {**template, "spec": {**template["spec"], "containers": [told]}},
        },
    }


def run(
    job: Json, cluster: Cluster, write: Callable[[str], None], warn: Callable[[str], None], clock: Clock
) -> int:
    """Runs a Job to its end and gives its program's exit code; each line of its output goes to `write`.

    Raises `NotDone`, `NoTools` and `ClusterFailed`. Where the Job cannot be deleted, `warn` hears how to.
    """
    name = job["metadata"]["name"]
    try:
        cluster.ask("create", "-f", "-", text=json.dumps(job))
        return _Watch(name, job["spec"]["activeDeadlineSeconds"], cluster, write, clock).to_the_end()
    finally:  # also of a creation that failed: it may have reached the cluster
        with _undisturbed():
            try:
                cluster.ask("delete", "job", name, "--wait=false", "--ignore-not-found")
            except (ClusterFailed, NoTools) as failed:
                by_hand = f"kubectl --namespace {job['metadata']['namespace']} delete job {name}"
                warn(
                    f"Job {name} may be left. It ends and goes by itself, or at once by `{by_hand}`. {failed}"
                )


@dataclass(frozen=True)
class _Watch:
    name: str
    limit: float
    cluster: Cluster
    write: Callable[[str], None]
    clock: Clock

    def to_the_end(self) -> int:
        pod = self._started()
        began, shown = self.clock.now(), 0
        while True:
            # A stream may break off: what it brings is counted, and asked for again until the pod has ended.
            with closing(self.cluster.lines("logs", "--follow", pod)) as lines:
                shown = self._copied(shown, lines)
            if (code := self._ended(pod)) is not None:
                self._copied(shown, StringIO(self._tried("logs", pod)))
                return code
            if self.clock.now() - began > self.limit + GRACE_SECONDS:
                raise NotDone(f"Job {self.name} does not end, though its deadline is over.")
            self.clock.sleep(PAUSE_SECONDS)

    def _copied(self, shown: int, lines: Iterable[str]) -> int:
        for line in islice(lines, shown, None):
            self.write(line)
            shown += 1
        return shown

    def _started(self) -> str:
        began = self.clock.now()
        while True:
            pods = self._asked("get", "pods", "--selector", f"{OF_JOB}={self.name}")["items"]
            if pods and pods[0]["status"].get("phase") != "Pending":
                return str(pods[0]["metadata"]["name"])
            if pods and (reason := _waiting(pods[0])) in HOPELESS:
                said = self._last_event(pods[0]["metadata"]["name"])
                raise NotDone(f"its pod cannot start: {reason}. {IMAGE_ADVICE} {said}".rstrip())
            if not pods and (said := self._last_event(self.name, "FailedCreate")):
                raise NotDone(f"no pod can be made for it. {POD_ADVICE} {said}")
            if self.clock.now() - began > START_SECONDS:
                said = self._last_event(pods[0]["metadata"]["name"] if pods else self.name)
                raise NotDone(
                    f"its pod did not start in {START_SECONDS:.0f} s. {ROOM_ADVICE} {said}".rstrip()
                )
            self.clock.sleep(PAUSE_SECONDS)

    def _ended(self, pod: str) -> int | None:
        """The exit code, once there is one."""
        found = self._asked("get", "pod", pod, "--ignore-not-found")
        terminated = _state(found, "terminated") if found else None
        if found and terminated is None and found["status"].get("phase") not in {"Failed", "Succeeded"}:
            return None
        conditions = self._asked("get", "job", self.name)["status"].get("conditions", [])
        if any(each.get("reason") == "DeadlineExceeded" for each in conditions):
            raise NotDone(f"it was ended after {self.limit:.0f} s, the longest that a Job may run.")
        if terminated is None:
            why = found.get("status", {}).get("message") or self._last_event(pod) or "nothing says why."
            raise NotDone(f"its pod was taken away before it had ended: {why}")
        if terminated.get("reason") not in EXPECTED and int(terminated["exitCode"]) > 3:
            raise NotDone(
                f"its program was killed: {terminated.get('reason')}, code {terminated['exitCode']}."
            )
        return int(terminated["exitCode"])

    def _last_event(self, of: str, reason: str = "") -> str:
        """What the cluster last complained about of an object; "" when it did not."""
        found = self._asked("get", "events", "--field-selector", f"involvedObject.name={of}")["items"]
        said = [
            str(each.get("message", ""))
            for each in found
            if each.get("type") == "Warning" and reason in {"", each.get("reason")}
        ]
        return said[-1] if said else ""

    def _asked(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._tried(*arguments, "--output", "json") or "{}")
        return found

    def _tried(self, *arguments: str) -> str:
        """A question may go unanswered, networks being what they are; not three times in a row."""
        for _ in range(QUESTIONS - 1):
            with suppress(ClusterFailed):
                return self.cluster.ask(*arguments)
            self.clock.sleep(PAUSE_SECONDS)
        return self.cluster.ask(*arguments)


def _state(pod: Json, kind: str) -> dict[str, Any] | None:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    found: dict[str, Any] | None = statuses[0].get("state", {}).get(kind) if statuses else None
    return found


def _waiting(pod: Json) -> str:
    return str((_state(pod, "waiting") or {}).get("reason", ""))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C waits until this is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
