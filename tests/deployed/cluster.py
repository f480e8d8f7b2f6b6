"""A cluster of one node: starts pods as their manifests say, asks their probes, follows their Services."""

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments.graph import answers
from environments.graph.evaluation import Graph
from environments.local.credentials import Credentials
from tests.deployed import mapping
from tests.deployed.containers import CREDENTIAL_FILE, CREDENTIAL_FOLDER, Containers
from tests.deployed.emulated import Cloud
from tests.deployed.mapping import Places
from tests.deployed.pods import Pod, Probe, Role, Target, build_arguments, entrance, pods, reached, role

KAFKA = "aws:msk/cluster:Cluster"
LOOK_SECONDS = 0.05


class NeverReady(Exception):  # noqa: N818
    """A pod does not become ready. The message has the end of what its program said."""


class MskRefuses(Exception):  # noqa: N818
    """MSK would not let this pod do what its variables tell it to do."""


@dataclass
class Running:
    """A pod that was started, and what its program was told."""

    pod: Pod
    address: str
    told: Mapping[str, str]
    process: "subprocess.Popen[bytes]"
    log: Path


@dataclass
class Cluster:
    """Every pod has an address of its own in 127.0.0.0/8, so each keeps the port that its manifest says."""

    graph: Graph
    cloud: Cloud
    containers: Containers
    network: str = field(default_factory=lambda: free_network())
    running: dict[str, Running] = field(default_factory=dict)
    _addresses: dict[str, str] = field(default_factory=dict)
    _granted: set[str] = field(default_factory=set)
    _keys: dict[str, dict[str, str]] = field(default_factory=dict)
    _credentials: Credentials | None = None

    def start(self) -> None:
        """Starts every pod of the graph and waits until all are ready."""
        self._credentials = Credentials(self.containers.folder / "tokens", self._keys.__getitem__)
        self._credentials.start()
        for pod in pods(self.graph).values():
            self.running[pod.workload] = self.begin(self.graph, pod, pod.workload)
        for each in self.running.values():
            ready(each)

    def keep_up(self) -> None:
        """Starts again what has ended, as Kubernetes does: a worker may end when it is refused."""
        for name, each in self.running.items():
            if each.process.poll() is not None:
                self.running[name] = self.begin(self.graph, each.pod, name)
                ready(self.running[name])

    def begin(self, graph: Graph, pod: Pod, name: str) -> Running:
        """Starts one pod of a graph under a name of its own; it is not ready yet.

        Raises `CannotBe`, `MskRefuses` and `LookupError` for what would not work on AWS.
        """
        told, token = self.told(graph, pod, name)
        arguments = build_arguments(graph, pod.image)
        process = self.containers.run(name, pod, arguments, told, token)
        return Running(pod, self._address(name), told, process, self.containers.log(name))

    def told(self, graph: Graph, pod: Pod, name: str) -> tuple[dict[str, str], str | None]:
        """The variables of a pod as they are right here, and the token of its role."""
        mine = role(graph, pod.namespace, pod.service_account)
        (brokers,) = graph.of_type(KAFKA)
        if refused := mapping.msk_refuses(mine, pod.variables, (brokers.outputs or {})["arn"]):
            raise MskRefuses(f"{pod.workload}: {', '.join(refused)}")
        places = self.places(graph)
        told = {
            **mapping.mapped(pod.variables, places),
            **mapping.added(self._address(name), places),
            **mapping.patience(pod.variables, places),
        }
        if mine is None:
            return told, None
        return told | self._pod_identity(name, mine), self._token(name)

    def places(self, graph: Graph) -> Places:
        """Where this cluster has what the graph has on AWS."""
        (brokers,) = graph.of_type(KAFKA)
        return Places(
            aws=self.cloud.stack.url,
            region=answers.REGION,
            brokers=(brokers.outputs or {})["bootstrapBrokersSaslIam"],
            kafka=self.cloud.kafka,
            service=lambda url: self._url(reached(graph, url)),
        )

    @property
    def gateway_url(self) -> str:
        """Where customers come in."""
        return self._url(entrance(self.graph))

    def run_to_end(self, pod: Pod, name: str, graph: Graph) -> tuple[int, str]:
        """Runs a job; its exit code, and what it said."""
        job = self.begin(graph, pod, name)
        code = job.process.wait(60)
        return code, job.log.read_text()

    def stop(self) -> None:
        """Ends every pod."""
        end(self.running.values())
        if self._credentials is not None:
            self._credentials.close()
        self.containers.close()

    def _pod_identity(self, name: str, mine: Role) -> dict[str, str]:
        """What EKS adds to a pod whose service account has an association."""
        assert self._credentials is not None
        if mine.name not in self._granted:
            self.cloud.grant(mine)
            self._granted.add(mine.name)
        # Before they are asked for: botocore waits two seconds for them, and a busy machine may need more.
        self._keys[name] = self.cloud.keys(mine)
        found = self._credentials.variables(name)
        return {**found, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{CREDENTIAL_FOLDER}/{CREDENTIAL_FILE}"}

    def _token(self, name: str) -> str:
        return (self.containers.folder / "tokens" / name).read_text()

    def _url(self, target: Target) -> str:
        return f"http://{self._address(target.workload)}:{target.port}"

    def _address(self, name: str) -> str:
        return self._addresses.setdefault(name, f"{self.network}.{len(self._addresses) + 1}")


def ready(running: Running, patience_seconds: float | None = None) -> None:
    """Waits as a kubelet does: until the startup probe passes, then until the readiness probe does.

    Raises `NeverReady` when the program ends, or when a probe's patience (or the one that is given) does.
    """
    for probe in (running.pod.startup, running.pod.readiness):
        deadline = time.monotonic() + (patience_seconds or max(probe.patience_seconds, 60.0))
        while not _passes(running, probe):
            if running.process.poll() is not None:
                raise NeverReady(
                    f"{running.pod.workload} ended with {running.process.returncode}: {said(running)}"
                )
            if time.monotonic() > deadline:
                raise NeverReady(f"{running.pod.workload} does not answer {probe}: {said(running)}")
            threading.Event().wait(LOOK_SECONDS)


def end(pods: Any) -> None:
    """Ends pods as a kubelet does: asks, and waits."""
    ending = list(pods)
    for each in ending:
        each.process.send_signal(signal.SIGTERM)
    for each in ending:
        try:
            each.process.wait(15)
        except subprocess.TimeoutExpired:
            each.process.kill()
            each.process.wait()


def said(running: Running) -> str:
    """The last lines of what a pod's program said."""
    return "\n".join(running.log.read_text(errors="replace").splitlines()[-12:])


def _passes(running: Running, probe: Probe) -> bool:
    try:
        with urllib.request.urlopen(
            f"http://{running.address}:{probe.port}{probe.path}", timeout=3
        ) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def free_network() -> str:
    """A /24 of loopback addresses where nobody listens on the first port that a pod might."""
    for number in range(200):
        network = f"127.{20 + number}.{os.getpid() % 250}"
        with socket.socket() as trial:
            try:
                trial.bind((f"{network}.1", 8000))
            except OSError:
                continue
            return network
    raise OSError("every loopback network is in use: something listens on port 8000 of all of them")
