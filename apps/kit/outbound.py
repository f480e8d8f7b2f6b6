"""Calls over HTTP to other servers: one attempt, a limit in time and in size, no redirect followed.

Whoever calls decides what may be repeated, so nothing is repeated here.
"""

import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError

MAX_ANSWER_BYTES = 4 * 1024 * 1024
CONNECT_SECONDS = 1.0
POOL = 32
"""Connections that are kept to one server."""


@dataclass(frozen=True)
class Call:
    """A request."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Answer:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):  # noqa: N818
    """Nothing came back in time, or too much. The request may have been carried out, unless not `sent`."""

    def __init__(self, cause: str, *, sent: bool = True) -> None:
        super().__init__(cause)
        self.sent = sent


Send = Callable[[Call, float], Answer]
"""Sends a call and waits so many seconds. Raises `NoAnswer`."""


def sender(context: ssl.SSLContext | None = None) -> Send:
    """The process's connections to other servers, by TLS with `context` where the URL says https."""
    pool = urllib3.PoolManager(maxsize=POOL, retries=False, ssl_context=context)

    def send(call: Call, seconds: float) -> Answer:
        if seconds <= 0:
            raise NoAnswer("no time left", sent=False)
        ends = time.monotonic() + seconds
        timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=seconds)
        try:
            answer = pool.request(
                call.method,
                call.url,
                body=call.body,
                headers={"User-Agent": "gobanking", **call.headers},
                timeout=timeout,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise NoAnswer(type(error).__name__, sent=False) from error
        except (HTTPError, OSError, ValueError) as error:
            raise NoAnswer(type(error).__name__) from error
        body = _whole(answer, ends)
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)

    return send


def _whole(answer: urllib3.BaseHTTPResponse, ends: float) -> bytes:
    """The body, unless it is endless or comes drop by drop: then the connection is not used again."""
    parts = bytearray()
    try:
        # Whatever has come, not a full buffer: that a slow server could keep from being full for hours.
        while part := answer.read1(64 * 1024):
            parts += part
            if len(parts) > MAX_ANSWER_BYTES or time.monotonic() > ends:
                answer.close()
                raise NoAnswer("too much or too slow")
    except (HTTPError, OSError) as error:
        answer.close()
        raise NoAnswer(type(error).__name__) from error
    answer.release_conn()
    return bytes(parts)


def mutual(certificate: str, key: str, authority: str | None) -> ssl.SSLContext:
    """TLS that proves who we are. All are PEM texts; without `authority` the system's own are trusted."""
    context = ssl.create_default_context(cadata=authority)
    # The standard library loads a key from a file alone.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(certificate + "\n" + key)
        file.flush()
        context.load_cert_chain(file.name)
    return context
