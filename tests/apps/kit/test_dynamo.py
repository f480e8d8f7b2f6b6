"""What becomes of a call: answered, refused, certainly not done, or unknown; and none of them as another."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from apps.kit import dynamo
from apps.kit.dynamo import (
    Cancelled,
    ConditionFailed,
    Deadline,
    OutcomeUnknown,
    Reason,
    TableCheck,
    Unavailable,
)

ACTIONS = [
    {"Put": {"TableName": "transactions", "Item": {"pk": {"S": "TRF#1"}, "amount": {"N": "5"}}}},
    {"Update": {"TableName": "accounts", "Key": {"pk": {"S": "ACC#1"}}, "UpdateExpression": "SET seq = :s"}},
]
URL = {"endpoint_url": "http://127.0.0.1:1"}
GOOD: Mapping[str, Any] = {}

Step = Mapping[str, Any] | Exception


@dataclass
class Scripted:
    """A client that answers with one step of its script after the other, the last one for ever.

    Each call takes a second on its `clock`, and is kept as the bytes that it would have sent.
    """

    script: Sequence[Step]
    sent: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def answer(self, **request: Any) -> Mapping[str, Any]:
        step = self.script[min(len(self.sent), len(self.script) - 1)]
        self.sent.append(json.dumps(request))
        self.seconds += 1
        if isinstance(step, Exception):
            raise step
        return step

    get_item = batch_get_item = put_item = update_item = delete_item = answer
    query = scan = describe_table = transact_write_items = answer

    def clock(self) -> float:
        return self.seconds

    def deadline(self, calls: int) -> Deadline:
        """Passes while the call of this number is under way."""
        return Deadline(calls, self.clock)


def refused(code: str, status: int = 400, **more: Any) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return ClientError(answer, "Call")


def cancelled(*codes: str) -> ClientError:
    return refused("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


LOST_REPLIES = [
    pytest.param(ReadTimeoutError(**URL), id="reply too late"),
    pytest.param(ConnectionClosedError(**URL), id="connection lost"),
    pytest.param(refused("InternalServerError", 500), id="internal error"),
    pytest.param(refused("ServiceUnavailable", 503), id="service unavailable"),
    pytest.param(refused("", 502), id="a proxy's bad gateway"),
    pytest.param(refused("IdempotentParameterMismatchException"), id="token of a lost transaction"),
]
NOT_DONE = [
    pytest.param(ConnectTimeoutError(**URL), id="no connection in time"),
    pytest.param(EndpointConnectionError(**URL), id="connection refused"),
    pytest.param(NoCredentialsError(), id="no credentials"),
    pytest.param(CredentialRetrievalError(provider="pod", error_msg="away"), id="credentials away"),
    pytest.param(refused("ThrottlingException"), id="throttled"),
    pytest.param(refused("ProvisionedThroughputExceededException"), id="over the throughput"),
    pytest.param(refused("RequestLimitExceeded"), id="over the account's limit"),
    pytest.param(refused("TransactionConflictException"), id="in conflict"),
]
MISTAKES = [
    pytest.param(refused("AccessDeniedException"), id="access denied"),
    pytest.param(refused("ValidationException"), id="not valid there"),
    pytest.param(refused("ResourceNotFoundException"), id="no such table"),
]
"""Refused before anything was done, and for ever: a fault of ours, to be seen as itself."""


# --- transact -----------------------------------------------------------------------------------


def test_a_transaction_goes_out_once_when_it_is_answered() -> None:
    client = Scripted([GOOD])
    dynamo.transact(client, ACTIONS, client.deadline(1))
    assert [json.loads(each) for each in client.sent] == [
        {"TransactItems": ACTIONS, "ClientRequestToken": dynamo.token(ACTIONS)}
    ]


@pytest.mark.parametrize(
    "lost", [*LOST_REPLIES, pytest.param(refused("TransactionInProgressException"), id="busy")]
)
def test_identical_bytes_and_token_are_repeated_while_the_outcome_is_unknown(lost: Exception) -> None:
    client = Scripted([lost, lost, GOOD])
    dynamo.transact(client, ACTIONS, client.deadline(9))
    assert len(client.sent) == 3
    assert len(set(client.sent)) == 1


@pytest.mark.parametrize("lost", LOST_REPLIES)
def test_past_the_deadline_a_lost_reply_is_an_unknown_outcome(lost: Exception) -> None:
    client = Scripted([lost])
    with pytest.raises(OutcomeUnknown):
        dynamo.transact(client, ACTIONS, client.deadline(3))
    assert len(client.sent) == 3


@pytest.mark.parametrize("not_done", NOT_DONE)
def test_past_the_deadline_what_was_never_accepted_is_unavailable(not_done: Exception) -> None:
    client = Scripted([not_done])
    with pytest.raises(Unavailable):
        dynamo.transact(client, ACTIONS, client.deadline(3))
    assert len(client.sent) == 3


@pytest.mark.parametrize("not_done", NOT_DONE)
def test_one_lost_reply_is_not_forgotten_for_what_comes_after_it(not_done: Exception) -> None:
    client = Scripted([not_done, ReadTimeoutError(**URL), not_done])
    with pytest.raises(OutcomeUnknown):
        dynamo.transact(client, ACTIONS, client.deadline(3))


def test_a_deadline_that_has_passed_still_allows_the_first_try() -> None:
    client = Scripted([GOOD])
    dynamo.transact(client, ACTIONS, Deadline(-1, client.clock))
    assert len(client.sent) == 1


def test_no_try_starts_when_the_deadline_passes_during_the_pause() -> None:
    client = Scripted([refused("ThrottlingException"), GOOD])
    moments = iter([0.5, 1.5])
    with pytest.raises(Unavailable):
        dynamo.transact(client, ACTIONS, Deadline(1.0, lambda: next(moments)))
    assert len(client.sent) == 1


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_raised_as_itself_and_not_repeated(mistake: Exception) -> None:
    client = Scripted([mistake])
    with pytest.raises(type(mistake)) as raised:
        dynamo.transact(client, ACTIONS, client.deadline(3))
    assert raised.value is mistake
    assert len(client.sent) == 1


def test_a_refusal_after_a_lost_reply_does_not_hide_that_the_first_send_may_stand() -> None:
    client = Scripted([ReadTimeoutError(**URL), refused("ExpiredTokenException")])
    with pytest.raises(OutcomeUnknown):
        dynamo.transact(client, ACTIONS, client.deadline(9))
    assert len(client.sent) == 2


def test_a_cancellation_gives_its_reasons_in_the_order_of_the_actions() -> None:
    old = {"seq": {"N": "4"}}
    reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": old}]
    client = Scripted([refused("TransactionCanceledException", CancellationReasons=reasons)])
    with pytest.raises(Cancelled) as raised:
        dynamo.transact(client, ACTIONS, client.deadline(9))
    assert raised.value.reasons == (Reason("None"), Reason("ConditionalCheckFailed", old))
    assert [raised.value.failed(index) for index in range(2)] == [False, True]
    assert not raised.value.after_unknown
    assert len(client.sent) == 1


@pytest.mark.parametrize("lost", LOST_REPLIES)
def test_a_cancellation_after_a_lost_reply_says_so(lost: Exception) -> None:
    client = Scripted([lost, refused("ThrottlingException"), cancelled("TransactionConflict", "None")])
    with pytest.raises(Cancelled) as raised:
        dynamo.transact(client, ACTIONS, client.deadline(9))
    assert raised.value.after_unknown


@pytest.mark.parametrize("not_done", NOT_DONE)
def test_a_cancellation_after_what_was_never_accepted_does_not(not_done: Exception) -> None:
    client = Scripted([not_done, cancelled("ConditionalCheckFailed", "None")])
    with pytest.raises(Cancelled) as raised:
        dynamo.transact(client, ACTIONS, client.deadline(9))
    assert not raised.value.after_unknown


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        pytest.param(["None", "TransactionConflict"], True, id="conflict"),
        pytest.param(["ThrottlingError", "ProvisionedThroughputExceeded"], True, id="throttled"),
        pytest.param(["TransactionConflict", "ConditionalCheckFailed"], False, id="and a condition"),
        pytest.param(["None", "ValidationError"], False, id="not valid"),
        pytest.param(["ItemCollectionSizeLimitExceeded"], False, id="too large"),
    ],
)
def test_contention_is_only_what_may_pass_a_moment_later(codes: list[str], expected: bool) -> None:
    assert Cancelled([Reason(code) for code in codes]).only_contention is expected


def test_a_token_belongs_to_one_payload() -> None:
    other: list[dict[str, Any]] = json.loads(json.dumps(ACTIONS))
    assert dynamo.token(other) == dynamo.token(ACTIONS)
    other[0]["Put"]["Item"]["amount"]["N"] = "6"
    assert dynamo.token(other) != dynamo.token(ACTIONS)
    assert dynamo.token(ACTIONS[::-1]) != dynamo.token(ACTIONS)
    assert len(dynamo.token(ACTIONS)) == 36, "DynamoDB takes at most 36 characters"


@pytest.mark.parametrize(("attempt", "longest"), [(0, 0.015), (1, 0.03), (4, 0.24), (6, 0.5), (60, 0.5)])
def test_pauses_grow_to_half_a_second(attempt: int, longest: float) -> None:
    slept: list[float] = []
    for _ in range(200):
        dynamo.pause(attempt, sleep=slept.append)
    assert 0 <= min(slept) <= max(slept) <= longest
    assert max(slept) > longest / 2, "and use the time that they may take"


# --- single writes ------------------------------------------------------------------------------


def test_a_write_gives_its_answer() -> None:
    client = Scripted([{"Attributes": {"seq": {"N": "5"}}}])
    assert dynamo.write(client.put_item, TableName="t", Item={}) == {"Attributes": {"seq": {"N": "5"}}}
    assert json.loads(client.sent[0]) == {"TableName": "t", "Item": {}}


@pytest.mark.parametrize("old", [None, {"refused": {"N": "1"}}], ids=["not asked for", "asked for"])
def test_a_failed_condition_gives_the_old_item_where_it_was_asked_for(old: dynamo.Item | None) -> None:
    more: dict[str, Any] = {} if old is None else {"Item": old}
    client = Scripted([refused("ConditionalCheckFailedException", **more)])
    with pytest.raises(ConditionFailed) as raised:
        dynamo.write(client.put_item)
    assert raised.value.item == old


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param(NOT_DONE, Unavailable, id="not done"),
        pytest.param(LOST_REPLIES, OutcomeUnknown, id="unknown"),
    ],
)
def test_a_write_is_sent_once_and_says_whether_it_can_have_happened(
    steps: Sequence[Any], expected: type[Exception]
) -> None:
    for step in steps:
        client = Scripted([*step.values, GOOD])
        with pytest.raises(expected):
            dynamo.write(client.put_item)
        assert len(client.sent) == 1, step.id


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistaken_write_is_raised_as_itself(mistake: Exception) -> None:
    with pytest.raises(type(mistake)) as raised:
        dynamo.write(Scripted([mistake]).put_item)
    assert raised.value is mistake


# --- reads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [*NOT_DONE, *LOST_REPLIES])
def test_a_read_is_tried_three_times(trouble: Exception) -> None:
    client = Scripted([trouble, trouble, {"Item": {}}])
    assert dynamo.read(client.get_item, TableName="t") == {"Item": {}}
    assert client.sent == ['{"TableName": "t"}'] * 3


@pytest.mark.parametrize("trouble", [*NOT_DONE, *LOST_REPLIES])
def test_a_read_without_an_answer_is_unavailable(trouble: Exception) -> None:
    client = Scripted([trouble])
    with pytest.raises(Unavailable):
        dynamo.read(client.get_item)
    assert len(client.sent) == 3


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistaken_read_is_raised_as_itself_and_not_repeated(mistake: Exception) -> None:
    client = Scripted([mistake])
    with pytest.raises(type(mistake)) as raised:
        dynamo.read(client.get_item)
    assert raised.value is mistake
    assert len(client.sent) == 1


def place(name: str) -> dynamo.Item:
    return {"pk": {"S": name}}


def wanted(**keys: Sequence[dynamo.Item]) -> dict[str, Any]:
    return {table: {"Keys": list(each), "ConsistentRead": True} for table, each in keys.items()}


def test_reading_together_gives_what_is_there_by_table_and_asks_consistently() -> None:
    client = Scripted([{"Responses": {"accounts": [place("a")]}, "UnprocessedKeys": {}}])
    found = dynamo.read_together(
        client, {"accounts": [place("a"), place("b")], "transactions": [place("t")], "events": []}
    )
    assert found == {"accounts": [place("a")], "transactions": [], "events": []}
    expected = wanted(accounts=[place("a"), place("b")], transactions=[place("t")])
    assert [json.loads(each) for each in client.sent] == [{"RequestItems": expected}]


def test_what_was_left_out_is_asked_for_again_alone_and_consistently() -> None:
    left_out = wanted(accounts=[place("b")])
    client = Scripted(
        [
            {"Responses": {"accounts": [place("a")]}, "UnprocessedKeys": left_out},
            refused("ThrottlingException"),
            {"Responses": {"accounts": [place("b")]}},
        ]
    )
    found = dynamo.read_together(client, {"accounts": [place("a"), place("b")]})
    assert found == {"accounts": [place("a"), place("b")]}
    assert [json.loads(each)["RequestItems"] for each in client.sent[1:]] == [left_out, left_out]


def test_half_an_answer_is_none() -> None:
    left_out = wanted(accounts=[place("b")])
    client = Scripted([{"Responses": {"accounts": [place("a")]}, "UnprocessedKeys": left_out}])
    with pytest.raises(Unavailable):
        dynamo.read_together(client, {"accounts": [place("a"), place("b")]})
    assert len(client.sent) == 3


# --- readiness ----------------------------------------------------------------------------------


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_table_that_answered_is_not_asked_again_for_ten_seconds() -> None:
    client, clock = Scripted([GOOD]), Clock()
    check = TableCheck(client, "local-accounts", clock)
    for now, asked in ((1000.0, 1), (1009.9, 1), (1010.0, 2), (1019.9, 2), (1020.0, 3)):
        clock.now = now
        check()
        assert len(client.sent) == asked, now
    assert set(client.sent) == {'{"TableName": "local-accounts"}'}


@pytest.mark.parametrize(
    ("trouble", "expected", "sends"),
    [
        pytest.param(EndpointConnectionError(**URL), Unavailable, 3, id="away"),
        pytest.param(refused("ResourceNotFoundException"), ClientError, 1, id="no such table"),
    ],
)
def test_a_table_that_does_not_answer_is_asked_again_at_once(
    trouble: Exception, expected: type[Exception], sends: int
) -> None:
    client = Scripted([*[trouble] * sends, GOOD])
    check = TableCheck(client, "local-accounts", Clock())
    with pytest.raises(expected):
        check()
    check()
    assert len(client.sent) == sends + 1


# --- the real client ----------------------------------------------------------------------------


@pytest.fixture
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that no chain has to look for."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")


@contextmanager
def answering(status: int, document: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """A server that always says the same; gives its address and the operations that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers["X-Amz-Target"])
            body = json.dumps(document).encode()
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.loopback
@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        pytest.param(500, "InternalServerError", OutcomeUnknown, id="internal error"),
        pytest.param(400, "ThrottlingException", Unavailable, id="throttled"),
    ],
)
def test_boto3_itself_repeats_no_write(status: int, code: str, expected: type[Exception]) -> None:
    over = Deadline(0.0)
    document = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}"}
    with answering(status, document) as (url, asked):
        client = dynamo.connect("sa-east-1", url)
        calls: list[Callable[[], object]] = [
            lambda: dynamo.transact(client, ACTIONS, over),
            lambda: dynamo.write(client.put_item, TableName="accounts", Item=place("a")),
        ]
        for call in calls:
            with pytest.raises(expected):
                call()
    assert [each.partition(".")[2] for each in asked] == ["TransactWriteItems", "PutItem"]


@pytest.mark.usefixtures("_keys")
def test_a_request_that_boto3_cannot_write_is_no_unknown_outcome() -> None:
    client = dynamo.connect("sa-east-1", "http://127.0.0.1:1")
    untyped = [{"Put": {"TableName": "accounts", "Item": {"pk": "a plain text"}}}]
    with pytest.raises(AttributeError):
        dynamo.transact(client, untyped, Deadline.after(5))
