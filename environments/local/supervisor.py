"""Brings the environment up, keeps it up, and takes it down: a process of its own.

It speaks to whoever started it by lines of JSON on standard output: `{"step": …}` while it starts, then
`{"ready": …}` or `{"failed": …, "log": […]}`. A service that dies is restarted with back-off, as Kubernetes
would; an emulator that dies ends the environment, because what it held in memory is gone.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from kafka.errors import KafkaError

from apps.catalog import CATALOG, Catalog, Service, environment
from environments.local import apache_kafka, broker, emulators, processes, provision, tansu
from environments.local.broker import Broker, BrokerUnavailable
from environments.local.credentials import LIFE_SECONDS, Credentials, role_keys
from environments.local.ministack import MiniStack, root_client
from environments.local.names import PREFIX, REGION, LocalNames
from environments.local.ports import Ports
from environments.local.processes import CallFailed, Program
from environments.local.running import LONGEST_BACKOFF_SECONDS, Running
from environments.local.state import Started, State, home

START_SECONDS = 60.0
STOP_SECONDS = 12.0
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
    # No DICT but the simulator's, and its largest category of participants.
    "dict_url": "",
    "dict_category": "A",
    # Nor any SPI.
    "spi_url": "",
}
"""Settings of this environment. A variable of the same name in capitals changes one."""


class StartFailed(Exception):  # noqa: N818
    """The environment does not come up. `log` are the last lines of what failed."""

    def __init__(self, message: str, log: list[str] | None = None) -> None:
        super().__init__(message)
        self.log = log or []


@dataclass(frozen=True)
class Options:
    """What `gobank up` was asked for. `replicas` are processes of a worker by its name; else one."""

    port: int | None = None
    kafka: str | None = None
    dynamodb: str | None = None
    replicas: Mapping[str, int] = field(default_factory=dict)


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
    _resting: dict[str, Running] = field(default_factory=dict)
    _description: dict[str, Any] = field(default_factory=dict)
    _credentials: Credentials | None = None
    _held: Ports = field(default_factory=Ports)

    def run(self) -> int:
        """Runs until told to stop, or until something ends it; gives the exit code."""
        self.state.prepare()
        try:
            self._bring_up()
        except (StartFailed, BrokerUnavailable, CallFailed, KafkaError, OSError) as error:
            self._take_down()
            self.tell({"failed": str(error), "log": getattr(error, "log", [])})
            return 1
        except BaseException:
            self._take_down()
            raise
        self.tell({"ready": self._description})
        try:
            return self._keep_up()
        finally:
            self._take_down()

    def _bring_up(self) -> None:
        started = time.monotonic()
        processes.prepare()
        ports = self._ports()
        kafka = self._broker()
        stack = MiniStack(self._held.take())
        self._step("starting the emulators")
        self._start_emulator("ministack", stack.argv, stack.env_in(self.state.ministack))
        if kafka.argv:
            self._start_emulator("kafka", kafka.argv, kafka.env)
        dynamodb = self.options.dynamodb or stack.url
        self._wait("ministack", "MiniStack", stack.answers)
        self._step("creating tables, roles and the user pool")
        names = LocalNames(ports, {**DEFAULTS, **self._overrides()})
        pool = self._provisioned(names, dynamodb, stack.url)
        self._wait("kafka", kafka.name, lambda: broker.is_ready(kafka))
        self._step("creating topics")
        broker.provision(kafka, self.catalog, names)
        life = int(os.environ.get("GOBANK_CREDENTIALS_SECONDS", LIFE_SECONDS))
        sts = root_client("sts", stack.url)
        self._credentials = Credentials(self.state.tokens, lambda name: role_keys(sts, name, life))
        self._credentials.start()
        settings = {
            **names.settings,
            # A browser on this machine comes back to the gateway where it listens.
            "public_url": names.url("gateway") if "gateway" in ports else "",
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
        self._wait_for_services(names)
        self._description["seconds"] = round(time.monotonic() - started, 2)
        self._record()

    def _provisioned(self, names: LocalNames, dynamodb: str, stack: str) -> provision.UserPool:
        """In a process of its own: four AWS clients leave 50 MB behind."""
        try:
            return processes.call(
                provision.everything, self.catalog, names, dynamodb, stack, keep_waiting=self._go_on
            )
        except CallFailed as failed:
            at = f" (--dynamodb {dynamodb})" if self.options.dynamodb else ""
            raise StartFailed(f"could not create tables, roles and the user pool{at}: {failed}") from failed

    def _broker(self) -> Broker:
        if self.options.kafka is None:
            return tansu.prepare(self._held.take())
        if self.options.kafka == "apache":
            self._step("preparing Apache Kafka")
            return apache_kafka.prepare(
                self.state.folder / "kafka",
                self.catalog,
                port=self._held.take(),
                keep_waiting=self._go_on,
            )
        return broker.existing(self.options.kafka)

    def _ports(self) -> dict[str, int]:
        ports: dict[str, int] = {}
        if self.options.port is not None:
            try:
                ports["gateway"] = self._held.take(self.options.port)
            except OSError as error:
                raise StartFailed(f"--port {self.options.port}: {error.strerror}") from error
        for service in self.catalog.services:
            for name in self._processes(service):
                if service.port is not None and name not in ports:
                    ports[name] = self._held.take()
        return ports

    def _processes(self, service: Service) -> list[str]:
        """What the processes of a service are called: the first as the service, each more with its number."""
        more = range(2, self.options.replicas.get(service.name, 1) + 1)
        return [service.name, *(f"{service.name}-{number}" for number in more)]

    def _overrides(self) -> dict[str, str]:
        return {
            name: os.environ[name.upper()]
            for name in DEFAULTS
            if name.upper() in _CHANGEABLE & os.environ.keys()
        }

    def _start_emulator(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        log = self.state.logs / f"{name}.log"
        self._emulators[name] = emulators.start(argv, env, log)
        self._record()

    def _start_service(self, service: Service, names: LocalNames, kafka: Broker, dynamodb: str) -> None:
        assert self._credentials is not None
        variables = {
            **environment(self.catalog, service.name, names),
            **processes.NO_OTHER_KEYS,
            "HOST": "127.0.0.1",
        }
        if service.kind != "simulator":  # it is the world outside, and has nothing here
            variables |= {**self._credentials.variables(service.name), "DYNAMODB_ENDPOINT": dynamodb}
        if "KAFKA_BOOTSTRAP" in variables:
            variables |= kafka.variables(service.name)
        if service.port is None:
            self._write_job(service, variables)
            return
        for name in self._processes(service):
            self._start_process(name, service, {**variables, "PORT": str(names.ports[name])})

    def _start_process(self, name: str, service: Service, variables: Mapping[str, str]) -> None:
        log = self.state.logs / f"{name}.log"
        log.write_bytes(b"")
        program = Program(service.name, service.module, variables, log, os.environ.get("GOBANK_INSTRUMENT"))
        self._services[name] = Running(
            program,
            processes.start(program),
            time.monotonic(),
            processes.start,
            float(os.environ.get("GOBANK_BACKOFF_SECONDS", LONGEST_BACKOFF_SECONDS)),
        )
        self._record()

    def _write_job(self, service: Service, variables: Mapping[str, str]) -> None:
        """What starts the job on demand. It holds no key, only where this service's keys are."""
        path = self.state.jobs / f"{service.name}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({"module": service.module, "variables": variables}))

    def _wait(self, emulator: str, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            self._check_emulators()
            if time.monotonic() > deadline:
                # A server that the user has writes no log here; the one that is here is of an earlier run.
                log = tail(self.state.logs / f"{emulator}.log") if emulator in self._emulators else []
                raise StartFailed(f"{what} does not answer after {START_SECONDS:.0f} s", log)
            self._stop_or_sleep(0.02)

    def _check_emulators(self) -> None:
        for name, process in self._emulators.items():
            if process.poll() is not None:
                log = tail(self.state.logs / f"{name}.log")
                raise StartFailed(f"{name} ended with {process.returncode} while starting", log)

    def _wait_for_services(self, names: LocalNames) -> None:
        """Until every one of them is ready. One that dies while it starts is restarted by nobody."""
        deadline = time.monotonic() + START_SECONDS
        waiting = set(self._services)
        while waiting:
            self._check_emulators()
            for name, running in self._services.items():
                if not running.process.is_alive():
                    why = f"{name} ended with {running.process.exitcode} while starting"
                    raise StartFailed(why, tail(running.program.log))
            waiting -= {name for name in sorted(waiting) if ready(names.url(name))}
            if waiting and time.monotonic() > deadline:
                name = min(waiting)
                why = f"{name} is not ready after {START_SECONDS:.0f} s"
                raise StartFailed(why, tail(self._services[name].program.log))
            self._stop_or_sleep(0.03)

    def _go_on(self) -> None:
        self._stop_or_sleep(0.0)

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
            "simulators": {
                each.name: names.url(each.name) for each in self.catalog.services if each.kind == "simulator"
            },
        }

    def _record(self) -> None:
        """Writes the present processes down, for people and for `down`."""
        others: dict[str, int] = {name: each.pid for name, each in self._emulators.items()}
        others |= {name: each.process.pid or 0 for name, each in self._services.items()}
        if (server := processes.fork_server_pid()) is not None:
            others["forkserver"] = server
        recorded = []
        for pid in others.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                recorded.append(Started.of(pid))
        self.state.record(Started.of(os.getpid()), recorded)
        if not self._description:
            return
        urls = self._description["urls"]
        told = {
            name: {"url": urls[name], "pid": each.process.pid, "log": str(each.program.log)}
            for name, each in self._services.items()
        }
        simulators = {each.name for each in self.catalog.services if each.kind == "simulator"}
        self._description["services"] = {name: each for name, each in told.items() if name not in simulators}
        self._description["simulators"] = {name: each for name, each in told.items() if name in simulators}
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
                    self.state.ended.write_text(message + "\n")
                    self.tell({"ended": message})
                    return 1
            changed = [each.look_after(time.monotonic()) for each in self._services.values()]
            if self._rest() or any(changed):
                self._record()
        return 0

    def _rest(self) -> bool:
        """Stops the bank's services while they are to be off, and starts them again; gives whether it did.
        The world outside goes on meanwhile."""
        if self.state.services_off.exists() == bool(self._resting):
            return False
        if self._resting:
            for name, running in self._resting.items():
                running.again(time.monotonic())
                self._services[name] = running
            self._resting = {}
        else:
            ours = [each.name for each in self.catalog.services if each.kind != "simulator"]
            self._resting = {name: self._services.pop(name) for name in ours if name in self._services}
            _end(list(self._resting.values()))
        return True

    def _take_down(self) -> None:
        """Ends every process: services first, so that they can finish, then what they stand on."""
        _end(list(self._services.values()))
        emulators.stop(self._emulators.values())
        if self._credentials is not None:
            self._credentials.close()
        processes.end_fork_server()
        self._held.close()
        self.state.forget()

    def _step(self, what: str) -> None:
        self.tell({"step": what})


_CHANGEABLE = frozenset(
    {"LOG_LEVEL", "OPENING_GRANT_CENTS", "HOLD_MINUTES", "OUTBOX_SHARDS", "AUDIT_SECONDS"}
)


def _end(services: Sequence[Running]) -> None:
    """Ends services, all at once, and gives them time to finish."""
    for running in services:
        if running.process.is_alive():
            running.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for running in services:
        running.process.join(max(0.0, deadline - time.monotonic()))
        if running.process.is_alive():
            running.process.kill()
            running.process.join()


def tail(log: Path, lines: int = LOG_LINES) -> list[str]:
    """The last lines of a log."""
    try:
        return log.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def ready(url: str) -> bool:
    """Whether the service at an address says that it is ready."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def main() -> None:
    """Runs the environment that the command line describes as JSON, until SIGTERM or SIGINT."""
    options = Options(**json.loads(sys.argv[1]))
    state = State(home())
    state.prepare()
    with state.only_one() as alone:
        if not alone:
            _tell({"failed": "another environment is starting or up in this folder", "log": []})
            sys.exit(3)
        processes.forget_ambient()
        os.ftruncate(sys.stderr.fileno(), 0)
        state.clean_up()
        state.ended.unlink(missing_ok=True)
        supervisor = Supervisor(state, options, _tell)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: supervisor.stop.set())
        state.record(Started.of(os.getpid()), [])
        code = supervisor.run()
    # Not `sys.exit`: whatever still waits somewhere has nothing left to wait for.
    os._exit(code)


def _tell(line: Mapping[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever started this has gone; the environment goes on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
