"""A bank to do harm to: its environment, the faults in its processes, a broker of its own, and its tables."""

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.net.inet import KafkaNetSocket

from apps.catalog import CATALOG
from apps.catalog import environment as variables_of
from apps.kit.kafka import connected
from environments.local import broker, tansu
from environments.local.api import Answer, Api
from environments.local.credentials import role_keys
from environments.local.demo import cpf
from environments.local.ministack import root_client
from environments.local.names import PREFIX, LocalNames
from environments.local.supervisor import DEFAULTS
from environments.local.users import PASSWORD, sign_in
from tests.chaos.books import Tables
from tests.chaos.checker import UNDECIDED, violations
from tests.chaos.control import Faults
from tests.chaos.rail import ISPB, Bacen, disagreements
from tests.environment import ROOT, Environment, environment, until

TOPIC = f"{PREFIX}transfers"
DEAD_LETTERS = f"{PREFIX}transfers.dead-letter"
SERVICES = tuple(service.name for service in CATALOG.services if service.port is not None)
BROKER_CLIENTS = tuple(
    service.name
    for service in CATALOG.services
    if service.port is not None and (service.produces or service.reads or service.consumes)
)
START_SECONDS = 60.0
DRAIN_SECONDS = 120.0
NAMES = LocalNames(dict.fromkeys(SERVICES, 0), DEFAULTS)
NO_PROXY = "none://"


class ClosedSocket(KafkaNetSocket):  # type: ignore[misc]
    """How clients given `NO_PROXY` connect. By itself kafka-python 3.0.12 leaves a socket that was refused to
    the garbage collector, which warns of it in whatever test it comes by."""

    SCHEMES = ("none",)

    async def sock_connect(self, net: Any, sock: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().sock_connect(net, sock, *arguments, **options)
        except BaseException:
            sock.close()
            raise


@dataclass
class OwnBroker:
    """A Tansu that no supervisor watches, so that it may die and come back without its memory."""

    kafka: broker.Broker = field(default_factory=tansu.prepare)
    forgot: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Up, with the catalog's topics on it."""
        self._process = subprocess.Popen(
            self.kafka.argv,
            env={**os.environ, **self.kafka.env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: broker.is_ready(self.kafka), bool, START_SECONDS)
        broker.provision(self.kafka, CATALOG, NAMES)

    def kill(self) -> None:
        """Gone, with all that it held."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.forgot += 1

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    @property
    def up(self) -> bool:
        return self._process is not None


@dataclass
class Stage:
    """A bank that is up, and what a test needs to hurt it and to look at it."""

    bank: Environment
    faults: Faults
    tables: Tables
    broker: OwnBroker | None = None

    @property
    def bootstrap(self) -> str:
        return str(self.bank.description["kafka_bootstrap"])

    @property
    def bacen(self) -> Bacen:
        return Bacen(str(self.bank.description["simulators"]["bacen"]["url"]))

    def customer(self, name: str) -> "Customer":
        """Somebody signed in who has no account yet."""
        email = f"{name}-{uuid.uuid4().hex[:8]}@example.com"
        described = self.bank.description

        def sign_in_again() -> str:
            return sign_in(described["cognito"], email, PASSWORD)

        return Customer(Api(described["gateway_url"], sign_in_again()), cpf(), sign_in_again)

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """To a service or an emulator; one that is just being restarted has missed it."""
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            os.kill(self.bank.pid(name), number)

    def start_broker(self) -> None:
        """Has a broker that was killed come back, empty but for its topics. Tansu makes a topic of a size of
        its own as soon as somebody asks for it, so its clients are held until the catalog's are there."""
        assert self.broker is not None

        def hold(stop: threading.Event) -> None:
            # Again and again: one that was just being restarted has missed it.
            while not stop.wait(0.02):
                for name in BROKER_CLIENTS:
                    self.send_signal(name, signal.SIGSTOP)

        try:
            with in_background(hold):
                self.broker.start()
        finally:
            for name in BROKER_CLIENTS:
                self.send_signal(name, signal.SIGCONT)

    def drained(self) -> None:
        """Waits until every transfer is decided, here and at Bacen, and every event was sent."""

        def unfinished() -> dict[str, list[str]]:
            # Undecided ones first: what is decided after that has put its event there by then.
            return {
                "undecided": self.tables.undecided(),
                "at Bacen": self.bacen.undecided(),
                "in the outbox": self.tables.waiting(),
            }

        until(unfinished, lambda found: not any(found.values()), DRAIN_SECONDS)

    def check(self) -> None:
        """Drains, and asserts that the books are in order, and what Bacen's say."""
        self.bacen.hand_out_again()
        self.drained()
        books = self.tables.books()
        assert [*violations(books), *disagreements(books, self.bacen.orders())] == []

    def audit(self) -> None:
        """Asserts that the bank's own auditor finds nothing."""
        done = self.bank.gobank("audit", "--json")
        assert done.returncode == 0, done.stdout + done.stderr

    def role(self, service: str) -> dict[str, str]:
        """The variables of one more process of a service, with keys of its role."""
        described = self.bank.description
        settings = {
            **DEFAULTS,
            "cognito_issuer": described["cognito"]["issuer"],
            "cognito_jwks_url": described["cognito"]["jwks_url"],
            "cognito_client_ids": described["cognito"]["client_id"],
            "kafka_bootstrap": self.bootstrap,
            "kafka_security": "PLAINTEXT",
        }
        keys = role_keys(root_client("sts", described["cognito"]["endpoint"]), service, 3600)
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            **variables_of(CATALOG, service, LocalNames(NAMES.ports, settings)),
            "HOST": "127.0.0.1",
            "PORT": str(broker.free_port()),
            "DYNAMODB_ENDPOINT": str(described["dynamodb_endpoint"]),
            "KAFKA_SESSION_TIMEOUT_MS": str(tansu.SESSION_TIMEOUT_MS),
            "KAFKA_WAKES_FETCHES": "false",
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["Token"],
        }

    def event_ids(self) -> set[str]:
        """The ids of all events on the topic, those that a test made up not among them."""
        found = {
            dict(record.headers).get("ce_id", b"poison").decode(errors="replace")
            for record in records(self.bootstrap, TOPIC)
        }
        return {each for each in found if not each.startswith("poison")}

    def poison(self, number: int) -> None:
        """Puts a record on the topic that no handler can ever handle."""
        headers = dict(POISON_HEADERS) | {"ce_id": f"poison-{uuid.uuid4()}".encode()}
        value: bytes = b'{"transfer_id": "none", "payer": "a", "payee": "b"}'
        match number % 4:
            case 0:
                headers = {}
            case 1:
                value = b"\xff no JSON"
            case 2:
                headers["ce_type"] = b"br.gobanking.transfer.forgotten"
        producer = connected(
            KafkaProducer,
            bootstrap_servers=self.bootstrap,
            proxy_url=NO_PROXY,
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=2_000,
            max_block_ms=2_000,
            delivery_timeout_ms=3_000,
            request_timeout_ms=2_000,
        )
        try:
            producer.send(TOPIC, value=value, key=b"poison", headers=list(headers.items())).get(timeout=10)
        finally:
            producer.close(timeout=5)


POISON_HEADERS: Mapping[str, bytes] = {
    "ce_specversion": b"1.0",
    "ce_source": b"/elsewhere",
    "ce_type": b"br.gobanking.transfer.held",
    "ce_subject": b"none",
    "ce_time": b"2026-11-25T12:00:00.000Z",
    "ce_schemaversion": b"1",
    "content-type": b"application/json",
}


@dataclass
class Customer:
    """Somebody who never takes no answer for an answer: the same key, until there is a decision."""

    api: Api
    tax_id: str
    fresh_token: Callable[[], str]
    account_id: str = ""
    account: Mapping[str, str] = field(default_factory=dict)
    """The account as its holder tells it to a payer at another bank."""

    def open(self) -> None:
        """An account with its grant on it."""
        body = {"name": "Ana Souza", "tax_id": self.tax_id, "account_type": "CACC"}
        answer = self.insist("/accounts", body)
        assert answer.status == 201, answer.text
        self.account_id = str(answer.body["account_id"])
        self.account = {
            "ispb": ISPB,
            "branch": answer.body["branch"],
            "number": str(answer.body["number"]).replace("-", ""),
            "account_type": "CACC",
            "tax_id": self.tax_id,
        }
        until(self.available, lambda cents: cents > 0, DRAIN_SECONDS)

    def pay(self, payee: "Customer", cents: int, key: str | None = None) -> Answer:
        """A decided answer to a transfer."""
        return self.insist("/transfers", self.payment(payee, cents), key)

    def payment(self, payee: "Customer", cents: int) -> dict[str, Any]:
        return {"from_account": self.account_id, "to": {"account": payee.account_id}, "amount_cents": cents}

    def pay_key(self, pix_key: str, cents: int, seconds: float = DRAIN_SECONDS) -> Answer:
        """A decided answer to a Pix to whoever has this key."""
        body = {"from_account": self.account_id, "to": {"key": pix_key}, "amount_cents": cents}
        return self.insist("/transfers", body, seconds=seconds)

    def insist(
        self, path: str, body: dict[str, Any], key: str | None = None, seconds: float = DRAIN_SECONDS
    ) -> Answer:
        """Repeats a request with its key until it is decided."""
        key = key or str(uuid.uuid4())

        def once() -> Answer | None:
            try:
                return self.api.post(path, body, key)
            except requests.RequestException:
                return None

        answer = until(once, lambda said: said is not None and decided(said), seconds)
        assert answer is not None
        return answer

    def see(self, path: str) -> dict[str, Any]:
        """What a GET gives at last."""

        def once() -> Answer | None:
            try:
                return self.api.get(path)
            except requests.RequestException:
                return None

        answer = until(once, lambda said: said is not None and said.status == 200, DRAIN_SECONDS)
        assert answer is not None
        return answer.body

    def available(self) -> int:
        return int(self.see(f"/accounts/{self.account_id}")["available_cents"])

    def decided(self, transfer_id: str) -> dict[str, Any]:
        """The transfer once it is not held any more, nor on its way to another bank."""
        path = f"/transfers/{transfer_id}"
        return until(lambda: self.see(path), lambda body: body["status"] not in UNDECIDED, DRAIN_SECONDS)


def decided(answer: Answer) -> bool:
    """Whether the client may stop repeating its key: design section 3, "Attempts"."""
    return answer.status == 201 or bool(answer.body.get("final"))


def records(bootstrap: str, topic: str) -> list[Any]:
    """Every record that is on a topic now."""
    consumer = connected(
        KafkaConsumer,
        bootstrap_servers=bootstrap,
        proxy_url=NO_PROXY,
        group_id=None,
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
    )
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        found: list[Any] = []
        deadline = time.monotonic() + DRAIN_SECONDS
        while any(consumer.position(each) < ends[each] for each in partitions):
            assert time.monotonic() < deadline, f"{topic} could not be read"
            for batch in consumer.poll(timeout_ms=200).values():
                found += batch
        return found
    finally:
        consumer.close()


@contextmanager
def stage(folder: Path, *arguments: str, own_broker: bool = False, **variables: str) -> Iterator[Stage]:
    """The bank, up, with faults in each process and none switched on; down at the end with nothing left."""
    faults = Faults(folder)
    own = OwnBroker() if own_broker else None
    try:
        if own is not None:
            own.start()
            arguments = (*arguments, "--kafka", own.kafka.bootstrap)
        with environment(folder, *arguments, **faults.variables, **variables) as bank:
            described = bank.description
            client = root_client("dynamodb", described["dynamodb_endpoint"])
            yield Stage(bank, faults, Tables(client, described["table_prefix"]), own)
            faults.clear()
    finally:
        if own is not None:
            own.kill()


@contextmanager
def stopped(on: Stage, name: str) -> Iterator[None]:
    """A service or an emulator that does not move meanwhile."""
    pid = on.bank.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def in_background(work: Any) -> Iterator[threading.Event]:
    """Runs `work(stop)` in a thread meanwhile; a failure of it fails the test."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work(stop)
        except BaseException as error:  # noqa: BLE001 (raised again below)
            failures.append(error)

    thread = threading.Thread(target=run, name="background")
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]
