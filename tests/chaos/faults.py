"""Faults inside a service's process, switched on and off from outside while it runs.

The local environment loads this file into each service before the service's own module (`GOBANK_INSTRUMENT`),
and nothing under `apps/` knows of it. It stands where a process speaks to others: botocore, kafka-python and
the HTTP clients (`http_faults`). What it does there is said by rules in `faults/control.json` of the
environment's folder, read anew at every call, so that a process that was just restarted obeys them too. What
it saw and did it writes to `faults/<service>.jsonl` before it does it: a process that kills itself tells
nothing later.

A call has a name such as `dynamodb GetItem accounts ACC#{}/BAL`: the same for every transfer. See `control`
for the rules.
"""

import datetime as dt
import json
import os
import random
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import kafka
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError
from kafka.errors import KafkaError, KafkaTimeoutError

from tests.chaos import http_faults

Rule = Mapping[str, Any]
Act = Callable[[], Any]

ACTIONS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "Check"}
WRITES = {"PutItem", "UpdateItem", "DeleteItem"}
SESSION_TIMEOUT_MS = 1_000
"""How long a consumer group waits for a member that was killed. A broker that the environment did not start
itself gets ten seconds, and then a death costs twenty."""
LOOK_SECONDS = 1.0
REMEMBERED = 50
"""Records of earlier polls from which duplicates are taken."""


def install(service: str) -> None:
    """Puts the faults into this process."""
    # The one path of the environment's folder that every service is told. Simulators are told none: what they
    # have of bad days is their own.
    token_file = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    if token_file is None:
        return
    folder = Path(token_file).parents[1] / "faults"
    if folder.exists():
        os.environ["KAFKA_SESSION_TIMEOUT_MS"] = str(SESSION_TIMEOUT_MS)
        injector = Injector(service, folder)
        _instrument_dynamodb(injector)
        _instrument_kafka(injector)
        http_faults.install(injector)
        _instrument_clock(injector)


class Injector:
    """The rules that stand for this process, and its journal."""

    def __init__(self, service: str, folder: Path) -> None:
        self._service = service
        self._folder = folder
        self._control = folder / "control.json"
        self._stamp: tuple[int, int] | None = None
        self._rules: tuple[Rule, ...] = ()
        self._recording: str | None = None
        self._seen: set[tuple[str, str]] = set()
        self._chance = random.Random(f"{service} {os.getpid()}")
        # Who has taken a rule notes it before another thread ends the process: a rule that is taken and never
        # noted is one that nobody can come to any more.
        self._firing = threading.RLock()

    def rules(self, *kinds: str) -> Iterator[Rule]:
        """The rules for this process of these kinds."""
        self._read()
        return (rule for rule in self._rules if rule["do"] in kinds)

    def saw(self, call: str) -> None:
        """Notes a call, once in each recording."""
        self._read()
        if self._recording is not None and (self._recording, call) not in self._seen:
            self._seen.add((self._recording, call))
            self._write({"seen": call, "in": self._recording})

    def due(self, call: str, at: str, *kinds: str) -> Iterator[Rule]:
        """The rules that fire at this point of this call; each is noted as fired."""
        for rule in self.rules(*kinds):
            fits = rule.get("call") is None or f"{call} ".startswith(rule["call"] + " ")
            if not fits or rule.get("at", "before") != at or self._chance.random() >= rule.get("chance", 1.0):
                continue
            with self._firing:
                if taken := self._claimed(rule):
                    self._write({"fired": rule["id"], "call": call, "at": at})
            if taken:
                yield rule

    def point(self, call: str, at: str) -> float:
        """A point of a call where the process may end or stop; gives the seconds that it has to wait."""
        seconds = 0.0
        for rule in self.due(call, at, "kill", "stop", "delay"):
            if rule["do"] == "delay":
                seconds += self._chance.uniform(0.5, 1.0) * float(rule["seconds"])
            else:
                with self._firing:
                    os.kill(os.getpid(), signal.SIGKILL if rule["do"] == "kill" else signal.SIGSTOP)
        return seconds

    def shuffled(self, records: list[Any]) -> list[Any]:
        """The same records in another order."""
        return self._chance.sample(records, len(records))

    def _claimed(self, rule: Rule) -> bool:
        """Takes one of the times that a rule may fire, in all processes and all their lives together."""
        times = rule.get("times")
        if times is None:
            return True
        for number in range(times):
            try:
                os.close(os.open(self._folder / "claims" / f"{rule['id']}.{number}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return True
        return False

    def _read(self) -> None:
        try:
            found = self._control.stat()
        except FileNotFoundError:
            return
        stamp = (found.st_ino, found.st_mtime_ns)
        if stamp == self._stamp:
            return
        document = json.loads(self._control.read_text())
        mine = [rule for rule in document["rules"] if rule["service"] in {self._service, "*"}]
        self._stamp, self._rules, self._recording = stamp, tuple(mine), document["recording"]

    def _write(self, line: Mapping[str, Any]) -> None:
        with (self._folder / f"{self._service}.jsonl").open("a") as journal:
            journal.write(json.dumps({**line, "pid": os.getpid()}) + "\n")


# --- DynamoDB ------------------------------------------------------------------------------------


def dynamodb_call(operation: str, request: Mapping[str, Any]) -> str:
    """The name of a DynamoDB call: what it does to which kinds of items, without their ids."""
    if operation == "TransactWriteItems":
        parts = [
            f"{ACTIONS[kind]} {_table(content)} {_place(content.get('Key') or content['Item'])}"
            for action in request["TransactItems"]
            for kind, content in action.items()
            if not _opens_month(content)
        ]
    elif operation == "BatchGetItem":
        parts = [
            f"{_table({'TableName': table})} {_place(key)}"
            for table, wanted in request["RequestItems"].items()
            for key in wanted["Keys"]
        ]
    elif "IndexName" in request:
        parts = [f"{_table(request)}/{request['IndexName']}"]
    elif "Key" in request or "Item" in request:
        parts = [f"{_table(request)} {_place(request.get('Key') or request['Item'])}"]
    else:
        partition = request.get("ExpressionAttributeValues", {}).get(":pk", {}).get("S", "")
        parts = [f"{_table(request)} {shape(partition)}".strip()]
    return f"dynamodb {operation} " + ", ".join(sorted(set(parts)))


def _opens_month(content: Mapping[str, Any]) -> bool:
    """What goes along with an account's first entry of a month, and makes no other call of it: each item of
    the treasury has its first entry at another transfer."""
    return str(content.get("Item", {}).get("sk", {}).get("S", "")).startswith("MONTH#")


def _table(request: Mapping[str, Any]) -> str:
    return str(request["TableName"]).rpartition("-")[2]


def _place(key: Mapping[str, Any]) -> str:
    return f"{shape(key['pk']['S'])}/{shape(key['sk']['S'])}"


def shape(key: str) -> str:
    """A key with its ids, numbers and times left out: `ACC#treasury#3` is `ACC#treasury#{}`."""
    kept = re.compile(r"[A-Z][A-Z0-9]{1,7}|[a-z]+(_[a-z]+)*")
    return "#".join(part if kept.fullmatch(part) else "{}" for part in key.split("#"))


def _instrument_dynamodb(injector: Injector) -> None:
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def called(client: Any, operation: str, request: Mapping[str, Any]) -> Any:
        if client.meta.service_model.service_name != "dynamodb":
            return original(client, operation, request)
        call = dynamodb_call(operation, request)
        injector.saw(call)
        time.sleep(injector.point(call, "before"))
        for rule in injector.due(call, "before", "fail"):
            if (error := _error(rule["code"], operation, request)) is not None:
                raise error
        try:
            return original(client, operation, request)
        finally:
            time.sleep(injector.point(call, "after"))
            # What really became of the call, an error included, is what the caller does not learn.
            for rule in injector.due(call, "after", "fail", "lose"):
                error = ReadTimeoutError(endpoint_url="injected")
                if rule["do"] == "fail":
                    error = _error(rule["code"], operation, request)
                if error is not None:
                    raise error

    BaseClient._make_api_call = called  # type: ignore[attr-defined]


def _error(code: str, operation: str, request: Mapping[str, Any]) -> Exception | None:
    """The error as DynamoDB answers it to this operation; nothing where it never would."""
    transaction = operation == "TransactWriteItems"
    if code in {"TransactionConflict", "ThrottlingError"} and transaction:
        cancelled: Any = {
            "Error": {"Code": "TransactionCanceledException", "Message": "Transaction cancelled"},
            "CancellationReasons": [{"Code": "None"} for _ in request["TransactItems"]],
            "ResponseMetadata": {"HTTPStatusCode": 400},
        }
        random.choice(cancelled["CancellationReasons"])["Code"] = code
        return ClientError(cancelled, operation)
    if code == "TransactionConflict":
        return _plain("TransactionConflictException", 400, operation) if operation in WRITES else None
    if code == "IdempotentParameterMismatchException" and not transaction:
        return None
    return _plain(code, 500 if code == "InternalServerError" else 400, operation)


def _plain(code: str, status: int, operation: str) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "injected"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, operation)


# --- Kafka ---------------------------------------------------------------------------------------


def _instrument_kafka(injector: Injector) -> None:
    _instrument_producer(injector)
    _instrument_consumer(injector)


class _Report:
    """A delivery report; whoever asks for it passes the point after the send."""

    def __init__(self, injector: Injector, call: str, future: Any) -> None:
        self._injector = injector
        self._call = call
        self._future = future

    def get(self, timeout: float | None = None) -> Any:
        report = self._future.get(timeout=timeout)
        time.sleep(self._injector.point(self._call, "after"))
        for _ in self._injector.due(self._call, "after", "lose"):
            raise KafkaTimeoutError("injected")
        return report


def _instrument_producer(injector: Injector) -> None:
    original = kafka.KafkaProducer.send

    def send(producer: Any, topic: str, *arguments: Any, **options: Any) -> Any:
        call = f"kafka send {topic}"
        injector.saw(call)
        time.sleep(injector.point(call, "before"))
        for _ in injector.due(call, "before", "fail"):
            raise KafkaTimeoutError("injected")
        for _ in injector.due(call, "before", "duplicate"):
            # As a producer that was restarted between the broker's answer and its reading it.
            original(producer, topic, *arguments, **options)
        return _Report(injector, call, original(producer, topic, *arguments, **options))

    kafka.KafkaProducer.send = send


def _instrument_consumer(injector: Injector) -> None:
    poll, commit = kafka.KafkaConsumer.poll, kafka.KafkaConsumer.commit
    earlier: dict[Any, deque[Any]] = {}
    looked = time.monotonic()

    def polled(consumer: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal looked
        call = "kafka poll"
        time.sleep(injector.point(call, "before"))
        batches = poll(consumer, *arguments, **options)
        if not batches:
            if time.monotonic() - looked > LOOK_SECONDS:
                _back_into_range(consumer)
                looked = time.monotonic()
            return batches
        injector.saw(call)
        time.sleep(injector.point(call, "after"))
        changed = {}
        for partition, records in batches.items():
            changed[partition] = _disturbed(
                injector, call, list(records), earlier.setdefault(partition, deque(maxlen=REMEMBERED))
            )
        return changed

    def committed(consumer: Any, *arguments: Any, **options: Any) -> Any:
        call = "kafka commit"
        injector.saw(call)
        time.sleep(injector.point(call, "before"))
        for _ in injector.due(call, "before", "fail"):
            raise KafkaTimeoutError("injected")
        answer = commit(consumer, *arguments, **options)
        time.sleep(injector.point(call, "after"))
        return answer

    kafka.KafkaConsumer.poll = polled
    kafka.KafkaConsumer.commit = committed


def _back_into_range(consumer: Any) -> None:
    """What Kafka makes every consumer do that asks for more than a log has (OFFSET_OUT_OF_RANGE, then
    `auto_offset_reset`). Tansu 0.6 answers with nothing, for ever, after it has lost its memory."""
    try:
        ends = consumer.end_offsets(list(consumer.assignment()))
        beyond = [each for each, end in ends.items() if consumer.position(each, timeout_ms=1_000) > end]
        if beyond:
            consumer.seek_to_beginning(*beyond)
    except KafkaError:
        return


def _disturbed(injector: Injector, call: str, records: list[Any], earlier: deque[Any]) -> list[Any]:
    """What a poll gives of one partition, as the rules will have it."""
    given = records
    for _ in injector.due(call, "after", "newer"):
        given = [_newer(record) for record in given]
    for _ in injector.due(call, "after", "duplicate"):
        given = [record for record in given for _ in range(2)]
        # Not what lies beyond: a broker that lost its memory has no such offset yet, and never gave it twice.
        given = [*(record for record in earlier if record.offset < records[0].offset), *given]
    for _ in injector.due(call, "after", "reorder"):
        given = injector.shuffled(given)
    earlier.extend(records)
    return given


def _newer(record: Any) -> Any:
    """The same event, as if it were of the version after the one that it is of."""
    headers = [
        (name, b"%d" % (int(content) + 1) if name == "ce_schemaversion" else content)
        for name, content in record.headers
    ]
    return record._replace(headers=headers)


# --- the clock -----------------------------------------------------------------------------------


def _instrument_clock(injector: Injector) -> None:
    """Moves the time of day that the service's own code is told. Libraries keep the machine's clock, and so
    does what verifies access tokens (it asks `time`): a clock that is a day off would refuse them all."""

    def shift(frame: Any) -> float:
        name = str(frame.f_globals.get("__name__", ""))
        if not name.startswith("apps.") and name != "__main__":
            return 0.0
        return sum(float(rule["seconds"]) for rule in injector.rules("clock"))

    class Same(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class Shifted(datetime, metaclass=Same):
        """The class `datetime` as the service imports it. Every object that it makes is a plain one."""

        def __new__(cls, *arguments: Any, **options: Any) -> datetime:  # type: ignore[misc]
            return datetime(*arguments, **options)  # noqa: DTZ001

        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=shift(sys._getframe(1)))

        @classmethod
        def __get_pydantic_core_schema__(cls, _: Any, handler: Callable[[Any], Any]) -> Any:
            return handler(datetime)

    dt.datetime = Shifted  # type: ignore[misc]
