"""Brings the environment up, keeps it up, and takes it down: a process of its own.

It speaks to whoever started it by lines of JSON on standard output: `{"step": …}` while it starts, then
`{"ready": …}` or `{"failed": …, "log": […]}`. A service that dies is restarted with back-off, as Kubernetes
would; an emulator that dies ends the environment, because what it held in memory is gone.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from apps.catalog import CATALOG, Catalog, Service, environment
from environments.local import apache_kafka, broker, processes, provision, tansu
from environments.local.broker import Broker, BrokerUnavailable
from environments.local.credentials import LIFE_SECONDS, Credentials, role_keys
from environments.local.ministack import MiniStack
from environments.local.names import PREFIX, REGION, LocalNames
from environments.local.processes import Program
from environments.local.state import Started, State, home

START_SECONDS = 60.0
STOP_SECONDS = 12.0
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A service that ran for so long starts its back-off anew."""
LOOK_SECONDS = 0.1
LOG_LINES = 15

DEFAULTS: Mapping[str, str] = {
    "environment": "local",
    "aws_region": REGION,
    "log_level": "INFO",
    "ispb": "99999010",
    "opening_grant_cents": "100000",
    "hold_minutes": "30",
    "outbox_shards": "1",
    "audit_seconds": "300",
}
"""Settings of this environment. A variable of the same name in capitals changes one."""


class StartFailed(Exception):  # noqa: N818
    """The environment does not come up. `log` are the last lines of what failed."""

    def __init__(self, message: str, log: list[str] | None = None) -> None:
        super().__init__(message)
        self.log = log or []


@dataclass(frozen=True)
class Options:
    """What `gobank up` was asked for."""

    port: int | None = None
    kafka: str | None = None
    dynamodb: str | None = None


@dataclass
class Running:
    """A service that is up, or about to be again."""

    program: Program
    process: BaseProcess
    began: float
    failures: int = 0
    restart_at: float | None = None


@dataclass
class Supervisor:
    """One environment, from its start to its end."""

    state: State
    options: Options
    tell: Callable[[Mapping[str, Any]], None]
    catalog: Catalog = CATALOG
    stop: threading.Event = field(default_factory=threading.Event)
    _emulators: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _services: dict[str, Running] = field(default_factory=dict)
    _description: dict[str, Any] = field(default_factory=dict)
    _credentials: Credentials | None = None

    def run(self) -> int:
        """Runs until told to stop, or until something ends it; gives the exit code."""
        self.state.prepare()
        try:
            self._bring_up()
        except (StartFailed, BrokerUnavailable, OSError) as error:
            self._take_down()
            self.tell({"failed": str(error), "log": getattr(error, "log", [])})
            return 1
        self.tell({"ready": self._description})
        try:
            return self._keep_up()
        finally:
            self._take_down()

    def _bring_up(self) -> None:
        started = time.monotonic()
        processes.prepare()
        kafka = self._broker()
        stack = MiniStack()
        self._step("starting the emulators")
        self._start_emulator("ministack", stack.argv, stack.env)
        if kafka.argv:
            self._start_emulator("kafka", kafka.argv, kafka.env)
        dynamodb = self.options.dynamodb or stack.url
        self._wait("ministack", stack.answers)
        self._step("creating tables, roles and the user pool")
        names = LocalNames(self._ports(), {**DEFAULTS, **self._overrides()})
        provision.create_tables(self.catalog, names, dynamodb)
        provision.create_roles(self.catalog, stack.url)
        pool = provision.create_user_pool(stack.url)
        self._wait("kafka", lambda: broker.is_ready(kafka))
        self._step("creating topics")
        broker.provision(kafka, self.catalog, names)
        life = int(os.environ.get("GOBANK_CREDENTIALS_SECONDS", LIFE_SECONDS))
        self._credentials = Credentials(self.state.tokens, lambda name: role_keys(stack.url, name, life))
        self._credentials.start()
        settings = {
            **names.settings,
            "cognito_issuer": pool.issuer,
            "cognito_jwks_url": pool.jwks_url,
            "cognito_client_ids": pool.client_id,
            "kafka_bootstrap": kafka.bootstrap,
            "kafka_security": kafka.security,
        }
        names = LocalNames(names.ports, settings)
        self._step("starting the services")
        for service in self.catalog.services:
            self._start_service(service, names, kafka, dynamodb)
        self._describe(pool, dynamodb, kafka, names)
        for service in self.catalog.services:
            if service.port is not None:
                self._wait_for_service(service.name, names.url(service.name))
        self._description["seconds"] = round(time.monotonic() - started, 2)
        self._record()

    def _broker(self) -> Broker:
        if self.options.kafka is None:
            return tansu.prepare()
        if self.options.kafka == "apache":
            self._step("preparing Apache Kafka")
            return apache_kafka.prepare(self.state.folder / "kafka", self.catalog)
        return broker.existing(self.options.kafka)

    def _ports(self) -> dict[str, int]:
        ports: dict[str, int] = {}
        for service in self.catalog.services:
            if service.port is None:
                continue
            ports[service.name] = broker.free_port()
            if service.name == "gateway" and self.options.port is not None:
                ports[service.name] = self.options.port
        return ports

    def _overrides(self) -> dict[str, str]:
        return {
            name: os.environ[name.upper()]
            for name in DEFAULTS
            if name.upper() in _CHANGEABLE & os.environ.keys()
        }

    def _start_emulator(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        with (self.state.logs / f"{name}.log").open("wb") as log:
            self._emulators[name] = subprocess.Popen(
                argv,
                env={**inherited, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (it makes one system call and takes no lock)
            )
        self._record()

    def _start_service(self, service: Service, names: LocalNames, kafka: Broker, dynamodb: str) -> None:
        assert self._credentials is not None
        variables = {
            **environment(self.catalog, service.name, names),
            **self._credentials.variables(service.name),
            "HOST": "127.0.0.1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "DYNAMODB_ENDPOINT": dynamodb,
        }
        if "KAFKA_BOOTSTRAP" in variables:
            variables |= kafka.variables(service.name)
        if service.port is None:
            self._write_job(service, variables)
            return
        variables["PORT"] = str(names.ports[service.name])
        log = self.state.logs / f"{service.name}.log"
        log.write_bytes(b"")
        program = Program(service.name, service.module, variables, log, os.environ.get("GOBANK_INSTRUMENT"))
        self._services[service.name] = Running(program, processes.start(program), time.monotonic())
        self._record()

    def _write_job(self, service: Service, variables: Mapping[str, str]) -> None:
        """What starts the job on demand. It holds no key, only where this service's keys are."""
        path = self.state.jobs / f"{service.name}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"module": service.module, "variables": variables}))

    def _wait(self, emulator: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            process = self._emulators.get(emulator)
            log = self.state.logs / f"{emulator}.log"
            if process is not None and process.poll() is not None:
                raise StartFailed(f"{emulator} ended with {process.returncode} while starting", tail(log))
            if time.monotonic() > deadline:
                raise StartFailed(f"{emulator} does not answer after {START_SECONDS:.0f} s", tail(log))
            self._stop_or_sleep(0.02)

    def _wait_for_service(self, name: str, url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        running = self._services[name]
        while not _ok(f"{url}/readyz"):
            if not running.process.is_alive():
                raise StartFailed(
                    f"{name} ended with {running.process.exitcode} while starting", tail(running.program.log)
                )
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"{name} is not ready after {START_SECONDS:.0f} s", tail(running.program.log)
                )
            self._stop_or_sleep(0.03)

    def _stop_or_sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise StartFailed("stopped while starting")

    def _describe(self, pool: provision.UserPool, dynamodb: str, kafka: Broker, names: LocalNames) -> None:
        self._description = {
            "gateway_url": names.url("gateway") if "gateway" in names.ports else None,
            "cognito": {
                "endpoint": pool.endpoint,
                "user_pool_id": pool.user_pool_id,
                "client_id": pool.client_id,
                "issuer": pool.issuer,
                "jwks_url": pool.jwks_url,
            },
            "dynamodb_endpoint": dynamodb,
            "kafka_bootstrap": kafka.bootstrap,
            "kafka": kafka.name,
            "kafka_admin": dict(kafka.admin),
            "table_prefix": PREFIX,
            "urls": {name: names.url(name) for name in names.ports},
            "simulators": {},
        }

    def _record(self) -> None:
        """Writes the present processes down, for people and for `down`."""
        others: dict[str, int] = {name: each.pid for name, each in self._emulators.items()}
        others |= {name: each.process.pid or 0 for name, each in self._services.items()}
        if (server := _fork_server()) is not None:
            others["forkserver"] = server
        recorded = []
        for pid in others.values():
            with contextlib.suppress(Exception):
                recorded.append(Started.of(pid))
        self.state.record(Started.of(os.getpid()), recorded)
        if not self._description:
            return
        urls = self._description["urls"]
        self._description["services"] = {
            name: {"url": urls[name], "pid": each.process.pid, "log": str(each.program.log)}
            for name, each in self._services.items()
        }
        self._description["emulators"] = {
            name: {"pid": each.pid, "log": str(self.state.logs / f"{name}.log")}
            for name, each in self._emulators.items()
        }
        self._description["supervisor"] = {"pid": os.getpid(), "forkserver": others.get("forkserver")}
        public = {key: value for key, value in self._description.items() if key != "urls"}
        self.state.describe(public)

    def _keep_up(self) -> int:
        while not self.stop.wait(LOOK_SECONDS):
            for name, process in self._emulators.items():
                if process.poll() is not None:
                    message = (
                        f"{name} ended with {process.returncode}; what it held is gone, so this ends too"
                    )
                    (self.state.folder / "ended.txt").write_text(message + "\n")
                    self.tell({"ended": message})
                    return 1
            changed = [self._look_after(running) for running in self._services.values()]
            if any(changed):
                self._record()
        return 0

    def _look_after(self, running: Running) -> bool:
        """Restarts a service that died, later each time; gives whether its process changed."""
        now = time.monotonic()
        if running.restart_at is None:
            if running.process.is_alive():
                return False
            if now - running.began > STEADY_SECONDS:
                running.failures = 0
            wait = min(FIRST_BACKOFF_SECONDS * 2.0**running.failures, LONGEST_BACKOFF_SECONDS)
            running.failures += 1
            running.restart_at = now + wait
            return False
        if now < running.restart_at:
            return False
        running.process = processes.start(running.program)
        running.began, running.restart_at = now, None
        return True

    def _take_down(self) -> None:
        """Ends every process: services first, so that they can finish, then what they stand on."""
        for running in self._services.values():
            if running.process.is_alive():
                running.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for running in self._services.values():
            running.process.join(max(0.0, deadline - time.monotonic()))
            if running.process.is_alive():
                running.process.kill()
                running.process.join()
        for emulator in self._emulators.values():
            emulator.terminate()
        for emulator in self._emulators.values():
            try:
                emulator.wait(5)
            except subprocess.TimeoutExpired:
                emulator.kill()
                emulator.wait()
        if self._credentials is not None:
            self._credentials.close()
        self.state.forget()

    def _step(self, what: str) -> None:
        self.tell({"step": what})


_CHANGEABLE = frozenset(
    {"LOG_LEVEL", "OPENING_GRANT_CENTS", "HOLD_MINUTES", "OUTBOX_SHARDS", "AUDIT_SECONDS"}
)


def tail(log: Path, lines: int = LOG_LINES) -> list[str]:
    """The last lines of a log."""
    try:
        return log.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def _ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _fork_server() -> int | None:
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)  # noqa: SLF001 (no public way)
    return pid


def _die_with_parent() -> None:
    """Linux: be killed when the supervisor is gone, however it went (prctl PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main() -> None:
    """Runs the environment that the command line describes as JSON, until SIGTERM or SIGINT."""
    options = Options(**json.loads(sys.argv[1]))
    state = State(home())
    state.prepare()

    def tell(line: Mapping[str, Any]) -> None:
        # Whoever started this may have gone; the environment goes on.
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    with state.only_one() as alone:
        if not alone:
            tell({"failed": "another environment is starting or up in this folder", "log": []})
            sys.exit(3)
        supervisor = Supervisor(state, options, tell)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: supervisor.stop.set())
        code = supervisor.run()
    sys.stdout.flush()
    os._exit(code)
