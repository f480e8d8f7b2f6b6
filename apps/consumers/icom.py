"""The SPI over HTTP, as its ICOM has it: post to send, pull to receive, ask what became of an order.

What is assumed of the ICOM stands in `apps.pix.spi` and in the simulator's `transport`. Nothing that comes
back is believed before it is checked: status, content type, size and the path that the next pull is to take.
What a message says is for `spi_reading`; a body that is none is handed on and refused there.

Nothing is repeated here but a pull whose answer was lost: only the caller knows what may be sent again.
"""

import email.parser
import email.policy
import logging
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from apps.kit import mutual_tls, outbound, secret_values
from apps.kit.outbound import Answer, Call, NoAnswer, Send
from apps.kit.settings import JobSettings
from apps.pix.xml_document import BadXml, parse

API = "/api/v1"
NOWHERE = "http://127.0.0.1:9"
"""Where no SPI and no simulator is named: nobody listens on the discard port, and every call says so."""
SEND_SECONDS = 4.0
ASK_SECONDS = 4.0
PULL_SECONDS = 15.0
"""A pull without messages is answered after some seconds: the simulator's are five."""
AT_ONCE = 10
BAD_PULLS = 3
"""So often an answer of the stream that cannot be used is asked for again; then it is passed over, because
one that never gets better must not stop everybody's money."""
MAX_RETRY_AFTER_SECONDS = 60
XML, PROBLEM_XML, MULTIPART = "application/xml", "application/problem+xml", "multipart/mixed"
_PROBLEM = "urn:ietf:rfc:7807"

Kind = Literal["unreachable", "limited", "unavailable", "refused", "gone", "timeout", "bad_answer"]
_NOT_TAKEN: frozenset[Kind] = frozenset({"unreachable", "limited", "unavailable", "refused", "gone"})
_KINDS: Mapping[int, Kind] = {410: "gone", 429: "limited", 503: "unavailable"}

_log = logging.getLogger(__name__)


class SpiDown(OSError):  # noqa: N818
    """The SPI gave no answer that can be used. `retry_after` are the seconds that it asks to wait.

    `unreachable`, `limited` (429), `unavailable` (503), `refused` (any other 4xx) and `gone` (a stream that
    is over) took nothing; after `timeout` and `bad_answer` nobody knows.
    """

    def __init__(self, kind: Kind, retry_after: int | None = None) -> None:
        super().__init__(kind)
        self.kind: Kind = kind
        self.retry_after = retry_after

    @property
    def not_taken(self) -> bool:
        """Whether the SPI certainly has nothing of what was sent."""
        return self.kind in _NOT_TAKEN


class SpiSettings(JobSettings):
    """What a worker that talks to the SPI reads besides. `spi_url` is the ICOM up to its version, always
    https: the certificate is in the secret. Without it the simulator is asked, where there is one."""

    ispb: str
    spi_url: Annotated[str, Field(pattern="^https://")] | None = None
    url_bacen: str | None = None
    secret_spi_certificate: str


def connect(config: SpiSettings) -> "Icom":
    """The process's line to the SPI, by mutual TLS where settings name one. Raises `BadCertificate` or
    `NoSecret`."""
    context: ssl.SSLContext | None = None
    if config.spi_url is not None:
        secrets = secret_values.connect(config.aws_region)
        context = mutual_tls.context(secrets, config.secret_spi_certificate)
    base = config.spi_url or (config.url_bacen or NOWHERE) + API
    return Icom(base, config.ispb, outbound.sender(context))


class Icom:
    """`apps.pix.spi.Transport` for participant `ispb`. `base_url` goes up to and with `/api/v1`.

    `send` and `status` are for any number of threads; the stream (`receive`, `acknowledge`, `close`) is for
    one.
    """

    def __init__(
        self,
        base_url: str,
        ispb: str,
        send: Send,
        *,
        clock: Callable[[], float] = time.monotonic,
        pull_seconds: float = PULL_SECONDS,
    ) -> None:
        base = base_url.rstrip("/")
        # What comes back names paths from the root of the server on, not from the end of our base.
        self._root = base.removesuffix(API)
        self._ispb = ispb
        self._send = send
        self._clock = clock
        self._pull_seconds = pull_seconds
        self._start = f"{API}/out/{ispb}/stream/start"
        self._next_path = re.compile(rf"{API}/out/{ispb}/stream/[0-9A-Za-z_-]{{1,128}}")
        self._path = self._start
        self._bad_pulls = 0
        self._given: tuple[bytes, ...] = ()

    def send(self, message: bytes) -> None:
        """Hands one message over; returning means that the SPI has it. Raises `SpiDown`."""
        headers = {"Content-Type": f"{XML}; charset=utf-8"}
        answer = self._asked("POST", f"{API}/in/{self._ispb}/msgs", SEND_SECONDS, headers, message)
        if answer.status not in {200, 201, 202}:
            raise self._refusal(answer)

    def status(self, end_to_end_id: str) -> bytes | None:
        """The SPI's pacs.002 about a payment or return; `None` where it says itself that it knows none.

        Raises `SpiDown`, also for any other 404: money may be given back only when the SPI knows nothing.
        """
        assert re.fullmatch("[ED][0-9A-Za-z]{31}", end_to_end_id), "no identification"
        answer = self._asked("GET", f"{API}/in/{self._ispb}/operations/{end_to_end_id}", ASK_SECONDS)
        if answer.status == 404 and _problem(answer) == "operation-not-found":
            return None
        if answer.status != 200:
            raise self._refusal(answer)
        if _media_type(answer.headers) != XML:
            raise self._unusable("it is of another content type")
        return answer.body

    def receive(self) -> Sequence[bytes]:
        """The next messages, as soon as there are any; none after some seconds. Until `acknowledge` the same
        ones. Raises `SpiDown`."""
        if self._given:
            return self._given
        try:
            answer = self._pulled()
        except SpiDown as down:
            if down.kind == "gone":
                self._path = self._start
            raise
        following = answer.headers.get("pi-pull-next", "")
        try:
            if not self._next_path.fullmatch(following):
                raise BadXml("it does not say where to go on")  # noqa: TRY301 (one way out)
            messages = _messages(answer)
        except BadXml as bad:
            self._bad_pulls += 1
            if self._bad_pulls >= BAD_PULLS:
                # What was in it is lost to us and stands at the SPI: who waits for it asks.
                self._bad_pulls = 0
                self._path = following if self._next_path.fullmatch(following) else self._start
            raise self._unusable(str(bad)) from None
        self._bad_pulls = 0
        # The next pull from there confirms these; it comes only once they are acknowledged.
        self._path = following
        self._given = messages
        return messages

    def acknowledge(self) -> None:
        """The messages of the last `receive` need not come again."""
        self._given = ()

    def close(self) -> None:
        """Ends the stream, so that nobody waits for this reader; what was not acknowledged comes again when
        the SPI misses us."""
        if self._given or self._path == self._start:
            return
        path, self._path = self._path, self._start
        try:
            self._asked("DELETE", path, SEND_SECONDS)
        except SpiDown:
            _log.info("the stream of the SPI could not be ended")

    def _pulled(self) -> Answer:
        answer = self._asked("GET", self._path, self._pull_seconds, {"Accept": f"{MULTIPART}, {XML}"})
        if answer.status not in {200, 204}:
            raise self._refusal(answer)
        return answer

    def _asked(
        self,
        method: str,
        path: str,
        seconds: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        started = self._clock()
        try:
            answer = self._send(Call(method, self._root + path, headers or {}, body), seconds)
        except NoAnswer as error:
            kind: Kind = "timeout" if error.sent else "unreachable"
            # Neither path nor body: both can hold whom a payment is for.
            _log.warning(
                "the SPI gave no answer", extra={"method": method, "kind": kind, "ms": self._ms(started)}
            )
            raise SpiDown(kind) from None
        level = logging.INFO if method == "POST" else logging.DEBUG
        _log.log(
            level,
            "asked the SPI",
            extra={"method": method, "status": answer.status, "ms": self._ms(started)},
        )
        return answer

    def _refusal(self, answer: Answer) -> SpiDown:
        status = answer.status
        kind: Kind = _KINDS.get(status, "refused" if 400 <= status < 500 else "bad_answer")
        _log.warning("the SPI refuses a request", extra={"status": status, "kind": kind})
        return SpiDown(kind, _retry_after(answer.headers))

    def _unusable(self, reason: str) -> SpiDown:
        _log.warning("an answer of the SPI is refused", extra={"reason": reason})
        return SpiDown("bad_answer")

    def _ms(self, started: float) -> float:
        return round((self._clock() - started) * 1000, 2)


def _messages(answer: Answer) -> tuple[bytes, ...]:
    """What a pull brought. Raises `BadXml` for what is no answer to one."""
    if answer.status == 204:
        return ()
    if answer.headers.get("content-encoding", "").strip():
        raise BadXml("it is encoded in a way that nobody asked for")
    media_type = _media_type(answer.headers)
    if media_type == XML:
        return (answer.body,)
    if media_type != MULTIPART:
        raise BadXml("it is of another content type")
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode("latin-1", "replace")
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + answer.body)
    parts = list(parsed.iter_parts()) if parsed.is_multipart() else []
    if not 1 <= len(parts) <= AT_ONCE or any(part.get_content_type() != XML for part in parts):
        raise BadXml("its parts are not the messages of one pull")
    bodies = (part.get_payload(decode=True) for part in parts)
    return tuple(body.strip() for body in bodies if isinstance(body, bytes))


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _problem(answer: Answer) -> str | None:
    """The kind of a problem that the ICOM itself speaks of; `None` for anybody else's."""
    if _media_type(answer.headers) != PROBLEM_XML:
        return None
    try:
        root = parse(answer.body)
        if (root.name, root.namespace) != ("problem", _PROBLEM):
            return None
        return root.required("type").rpartition("/")[2]
    except BadXml:
        return None


def _retry_after(headers: Mapping[str, str]) -> int | None:
    text = headers.get("retry-after", "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        return None
    return min(int(text), MAX_RETRY_AFTER_SECONDS)
