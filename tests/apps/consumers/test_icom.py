"""The line to the SPI: what is sent is what the ICOM asks for, and nothing that comes back is trusted."""

import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from apps.consumers.icom import AT_ONCE, BAD_PULLS, Icom, Kind, SpiDown, SpiSettings, connect
from apps.kit import mutual_tls, outbound, settings
from apps.kit.outbound import Answer, Call, NoAnswer
from apps.pix import spi_reading
from apps.pix.spi import PaymentOrder, StatusReport
from apps.pix.xml_document import BadXml
from apps.simulators.bacen.faults import Fault
from tests.apps.dict_key.wire import Respond, Wire, answer, served
from tests.apps.kit.test_mutual_tls import AUTHORITY, OURS, SERVER, STRANGER, bacens, holder, secret
from tests.apps.pix.test_xml_document import BOMB
from tests.apps.simulators.bacen import scene as scenes
from tests.apps.simulators.bacen.scene import OWN, PAYER, Scene

NEXT = f"PI-Pull-Next: /api/v1/out/{OWN}/stream/"
E2E = f"E{OWN}202611251500abcdefghijk"
TAX_ID, ACCOUNT = "52998224725", "0000012345"
PERSONAL = f"<Envelope><Id>{TAX_ID}</Id><Acct>{ACCOUNT}</Acct></Envelope>"
XML = "application/xml; charset=utf-8"


# --- against the simulator, in this process ----------------------------------------------------


@contextmanager
def line(at: Scene) -> Iterator[tuple[Icom, list[Call]]]:
    """The line to a simulator without a socket, and what went over it."""
    calls: list[Call] = []
    with scenes.served(at) as client:
        yield Icom("http://testserver/api/v1/", OWN, _through(client, calls)), calls


def _through(client: TestClient, calls: list[Call]) -> outbound.Send:
    def send(call: Call, seconds: float) -> Answer:
        assert seconds > 0
        calls.append(call)
        made = client.request(
            call.method, call.url, headers={"User-Agent": "gobanking", **call.headers}, content=call.body
        )
        return Answer(
            made.status_code, {name.lower(): each for name, each in made.headers.items()}, made.content
        )

    return send


@pytest.fixture
def at() -> Scene:
    return scenes.scene()


def incoming(at: Scene, count: int) -> list[str]:
    """Payments of another bank's customer to ours."""
    account = at.payment().debtor_account
    return [at.bacen.banks.pay("60701190", PAYER.tax_id, account, 100 + number) for number in range(count)]


def ids(messages: object) -> list[str]:
    assert isinstance(messages, tuple)
    read = [spi_reading.read(each) for each in messages]
    return [each.end_to_end_id for each in read if isinstance(each, PaymentOrder)]


def test_an_order_is_sent_and_its_answer_received_and_asked_for(at: Scene) -> None:
    payment = at.payment()
    with line(at) as (icom, calls):
        icom.send(at.order(payment))
        (message,) = icom.receive()
        asked = icom.status(payment.end_to_end_id)
    assert calls[0].headers["Content-Type"] == XML
    for told in (message, asked):
        assert told is not None
        report = spi_reading.read(told)
        assert isinstance(report, StatusReport)
        assert (report.original_id, report.status) == (payment.end_to_end_id, "ACSC")


def test_messages_come_again_until_they_are_acknowledged_and_then_never(at: Scene) -> None:
    sent = incoming(at, 2)
    with line(at) as (icom, _):
        assert ids(icom.receive()) == ids(icom.receive()) == sent
        icom.acknowledge()
        assert list(icom.receive()) == []
        assert list(icom.receive()) == []


def test_what_a_dead_reader_did_not_acknowledge_comes_to_the_next_one(at: Scene) -> None:
    sent = incoming(at, 3)
    with line(at) as (dead, _), line(at) as (alive, _):
        assert ids(dead.receive()) == sent
        dead.close()
        at.pass_time(19)
        assert list(alive.receive()) == [], "the other reader may still be at work"
        at.pass_time(2)
        assert ids(alive.receive()) == sent


def test_a_reader_that_ends_well_makes_nobody_wait(at: Scene) -> None:
    with line(at) as (leaving, _), line(at) as (coming, _):
        first = incoming(at, 1)
        assert ids(leaving.receive()) == first
        leaving.acknowledge()
        leaving.close()
        second = incoming(at, 1)
        at.pass_time(19)
        assert ids(coming.receive()) == second
        coming.acknowledge()
        at.pass_time(19)
        assert list(coming.receive()) == [], "what the first one had acknowledged is over"


def test_many_messages_come_ten_at_a_time_in_order(at: Scene) -> None:
    sent = incoming(at, 23)
    received: list[str] = []
    with line(at) as (icom, calls):
        while messages := icom.receive():
            assert len(messages) <= AT_ONCE
            received += ids(messages)
            icom.acknowledge()
    assert received == sent
    assert len(calls) == 4


def test_an_answer_of_the_stream_that_was_lost_is_asked_for_again(at: Scene) -> None:
    with line(at) as (icom, _):
        assert list(icom.receive()) == []
        sent = incoming(at, 2)
        at.bacen.faults.add(Fault("spi", "lost_answer"))
        with pytest.raises(SpiDown):
            icom.receive()
        assert ids(icom.receive()) == sent


def test_a_stream_that_is_over_begins_anew(at: Scene) -> None:
    with line(at) as (icom, _):
        icom.receive()
        at.pass_time(60)
        sent = incoming(at, 1)
        with pytest.raises(SpiDown) as over:
            icom.receive()
        assert over.value.kind == "gone"
        assert ids(icom.receive()) == sent


def test_the_spi_says_itself_that_it_knows_no_such_order(at: Scene) -> None:
    with line(at) as (icom, _):
        assert icom.status(at.end_to_end_id()) is None


@pytest.mark.parametrize(
    ("fault", "kind", "not_taken"),
    [
        (Fault("spi", "down", seconds=7), "unavailable", True),
        (Fault("spi", "lost_answer"), "bad_answer", False),
        (Fault("spi", "garbled", status=500, body="oops"), "bad_answer", False),
        (Fault("spi", "garbled", status=403, body="no"), "refused", True),
        (Fault("spi", "garbled", status=429, body="no"), "limited", True),
    ],
    ids=["down", "lost", "broken", "refused", "limited"],
)
def test_what_nobody_knows_is_told_from_what_was_not_taken(
    at: Scene, fault: Fault, kind: Kind, not_taken: bool
) -> None:
    at.bacen.faults.add(fault)
    with line(at) as (icom, _), pytest.raises(SpiDown) as down:
        icom.send(at.order(at.payment()))
    assert (down.value.kind, down.value.not_taken) == (kind, not_taken)
    assert down.value.retry_after == (7 if kind == "unavailable" else None)
    assert isinstance(down.value, OSError), "as the seam promises"


@pytest.mark.parametrize("call", ["send", "status", "receive"])
@pytest.mark.parametrize(("sent", "kind"), [(True, "timeout"), (False, "unreachable")])
def test_silence_may_hide_a_yes_and_a_closed_door_never_does(call: str, sent: bool, kind: Kind) -> None:
    def silent(_: Call, __: float) -> Answer:
        raise NoAnswer("nothing", sent=sent)

    with pytest.raises(SpiDown) as down:
        _call(Icom("https://spi/api/v1", OWN, silent), call)
    assert (down.value.kind, down.value.not_taken) == (kind, not sent)


def _call(icom: Icom, call: str) -> object:
    if call == "send":
        icom.send(b"<a/>")
        return None
    return icom.status(E2E) if call == "status" else icom.receive()


# --- hostile answers, over a real socket --------------------------------------------------------


@contextmanager
def wired(*answers: bytes | Respond, pull_seconds: float = 5.0) -> Iterator[tuple[Icom, Wire]]:
    with served(*answers) as wire:
        yield Icom(f"{wire.url}/api/v1", OWN, outbound.sender(), pull_seconds=pull_seconds), wire


def pulled(body: str | bytes = PERSONAL, *headers: str, **more: object) -> bytes:
    """An answer of the stream that says where to go on."""
    said = headers or (NEXT + "abc123",)
    return answer(body, headers=said, content_type=str(more.pop("content_type", XML)), **more)  # type: ignore[arg-type]


def drip(connection: socket.socket) -> None:
    connection.sendall(f"HTTP/1.1 200 X\r\nContent-Type: {XML}\r\nContent-Length: 900\r\n\r\n".encode())
    connection.settimeout(0.05)
    for _ in range(200):
        connection.sendall(b"x")
        try:
            connection.recv(1)  # until the other side hangs up
        except TimeoutError:
            continue
        return


def cut(connection: socket.socket) -> None:
    connection.sendall(pulled(length=900))


HOSTILE: list[tuple[str, bytes | Respond]] = [
    ("ten megabytes", pulled(b"x" * 10_000_000)),
    ("a length that is less", pulled(length=900)),
    ("a length that is no number", pulled().replace(b"Content-Length: ", b"Content-Length: x")),
    ("cut off", cut),
    ("drop by drop", drip),
    ("no content type", pulled(content_type="")),
    ("JSON", pulled("{}", content_type="application/json")),
    ("a page", pulled("<html/>", content_type="text/html")),
    ("gzip that nobody asked for", pulled(b"\x1f\x8b", NEXT + "abc", "Content-Encoding: gzip")),
    ("parts without a boundary", pulled(content_type="multipart/mixed")),
    (
        "parts of another type",
        pulled(
            "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
            content_type="multipart/mixed; boundary=b",
        ),
    ),
    (
        "eleven parts",
        pulled(
            "--b\r\nContent-Type: application/xml\r\n\r\n<a/>\r\n" * 11 + "--b--\r\n",
            content_type="multipart/mixed; boundary=b",
        ),
    ),
    ("no next", pulled(PERSONAL, "X: y")),
    ("a next elsewhere", pulled(PERSONAL, "PI-Pull-Next: https://evil.example/api/v1/out")),
    ("the next of somebody else", pulled(PERSONAL, "PI-Pull-Next: /api/v1/out/00000000/stream/abc")),
    ("a next with a way up", pulled(PERSONAL, NEXT + "../../in")),
    ("a redirect", answer("", status=302, headers=("Location: https://evil.example/",))),
]


@pytest.mark.loopback
@pytest.mark.parametrize("hostile", [each for _, each in HOSTILE], ids=[name for name, _ in HOSTILE])
def test_an_answer_that_is_none_is_refused_and_asked_for_again(
    hostile: bytes | Respond, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with wired(hostile, pulled("<Envelope/>"), pull_seconds=1.0) as (icom, wire):
        with pytest.raises(SpiDown) as down:
            icom.receive()
        assert not down.value.not_taken
        again = icom.receive()
    assert again == (b"<Envelope/>",)
    assert {request.split(" ")[1] for request in wire.requests} == {f"/api/v1/out/{OWN}/stream/start"}
    assert TAX_ID not in caplog.text
    assert ACCOUNT not in caplog.text


@pytest.mark.loopback
def test_an_answer_that_never_gets_better_stops_nobody_for_ever() -> None:
    bad = pulled("{}", NEXT + "later", content_type="application/json")
    with wired(*[bad] * BAD_PULLS, pulled("<Envelope/>")) as (icom, wire):
        for _ in range(BAD_PULLS):
            with pytest.raises(SpiDown):
                icom.receive()
        assert icom.receive() == (b"<Envelope/>",)
    assert wire.requests[-1].startswith(f"GET /api/v1/out/{OWN}/stream/later ")


@pytest.mark.loopback
@pytest.mark.parametrize(
    "bad",
    [BOMB, b"<a/>" * 2, b"\xff\xfe<", b"<!DOCTYPE x SYSTEM 'http://evil.example/'><x/>"],
    ids=["a bomb", "two roots", "no UTF-8", "a document type"],
)
def test_a_message_that_is_none_is_handed_on_and_refused_where_it_is_read(bad: str | bytes) -> None:
    with wired(pulled(bad)) as (icom, _):
        (message,) = icom.receive()
    with pytest.raises(BadXml):
        spi_reading.read(message)


NOT_SAID = '<problem xmlns="urn:ietf:rfc:7807"><type>https://x/{}</type></problem>'


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<html>not found</html>", "text/html"),
        ("", "application/problem+xml"),
        (NOT_SAID.format("not-found"), "application/problem+xml"),
        (NOT_SAID.format("operation-not-found"), "application/xml"),
        (NOT_SAID.format("operation-not-found").replace("ietf", "evil"), "application/problem+xml"),
        (BOMB, "application/problem+xml"),
    ],
    ids=["a page", "nothing", "no such path", "no problem", "another namespace", "a bomb"],
)
def test_a_404_of_anybody_but_the_spi_is_no_answer(body: str | bytes, content_type: str) -> None:
    with wired(answer(body, status=404, content_type=content_type)) as (icom, _), pytest.raises(SpiDown):
        icom.status(E2E)


@pytest.mark.loopback
@pytest.mark.parametrize("content_type", ["text/plain", "application/problem+xml", "application/json"])
def test_a_status_of_another_content_type_is_no_status(content_type: str) -> None:
    with wired(answer("<Envelope/>", content_type=content_type)) as (icom, _), pytest.raises(SpiDown):
        icom.status(E2E)


@pytest.mark.parametrize("bad", ["", "E1", "../../x", f"{E2E}/..", "X" * 32])
def test_only_an_identification_is_asked_for(bad: str) -> None:
    def never(_: Call, __: float) -> Answer:
        raise AssertionError

    with pytest.raises(AssertionError):
        Icom("https://spi/api/v1", OWN, never).status(bad)


@pytest.mark.loopback
def test_a_request_has_only_headers_that_the_icom_allows(at: Scene) -> None:
    allowed = {"accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"}
    with wired(answer("", status=201), pulled(), answer("<a/>")) as (icom, wire):
        icom.send(at.order(at.payment()))
        icom.receive()
        icom.status(E2E)
    for request in wire.requests:
        lines = request.partition("\r\n\r\n")[0].split("\r\n")[1:]
        assert {each.partition(":")[0].lower() for each in lines} <= allowed


# --- mutual TLS ---------------------------------------------------------------------------------


def over_tls(context: ssl.SSLContext, server: ssl.SSLContext) -> None:
    with served(answer("", status=201), context=server) as wire:
        Icom(f"{wire.url}/api/v1", OWN, outbound.sender(context)).send(b"<a/>")


def _trusted() -> ssl.SSLContext:
    return mutual_tls.context(secret(OURS, AUTHORITY), "dict")


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("context", "speaks"),
    [
        (_trusted, True),
        (lambda: mutual_tls.context(secret(OURS, STRANGER), "dict"), False),
        (lambda: mutual_tls.context(secret(holder("us", STRANGER), AUTHORITY), "dict"), False),
    ],
    ids=["both known", "a server of another authority", "a client of another authority"],
)
def test_only_who_the_authority_knows_speaks(
    tmp_path: Path, context: Callable[[], ssl.SSLContext], speaks: bool
) -> None:
    server = bacens(SERVER, AUTHORITY, tmp_path)
    if speaks:
        over_tls(context(), server)
        return
    with pytest.raises(SpiDown):
        over_tls(context(), server)


BASE = {
    "SERVICE": "receive_pix",
    "ENVIRONMENT": "test",
    "AWS_REGION": "sa-east-1",
    "ISPB": OWN,
    "SECRET_SPI_CERTIFICATE": "spi",
}


@pytest.mark.loopback
def test_without_an_spi_and_without_a_simulator_every_call_says_so() -> None:
    with pytest.raises(SpiDown):
        connect(settings.read(SpiSettings, BASE)).send(b"<a/>")


def test_an_spi_without_tls_is_no_setting() -> None:
    with pytest.raises(settings.SettingsError, match="SPI_URL"):
        settings.read(SpiSettings, BASE | {"SPI_URL": "http://icom.pi.rsfn.net.br/api/v1"})
