"""The seam where messages enter and leave: what a participant of the SPI meets on the wire (MI).

As published: a participant only ever sends requests. It posts to `/api/v1/in/{ispb}/msgs` (201 means kept,
nothing more; what is wrong with a message comes back later as admi.002) and pulls from
`/api/v1/out/{ispb}/stream/start` and then from the path that each answer names in `PI-Pull-Next`; the next
pull, or a DELETE of that path, says that the last messages are safe. No messages: 204 after some seconds.
Six read streams at most. One message, or up to ten as `multipart/mixed`. A message may come again under the
same `PI-ResourceId`. 3,750 tokens and 750 a second for what is sent, 0.2 for an operation of a pacs.002, one
for each other (OP).

Assumed:
- plain HTTP/1.1 with the ISPB of the path believed. On the RSFN it is mutual TLS with an ICP-Brasil
  certificate that names the participant; the hosts and ports, which are none of the internet's, are here one
  address. Values of headers are not looked at, nor is Host refused for its port, only headers that the
  manual does not list (`ALLOWED`);
- "some seconds" are `LONG_POLL_SECONDS`; a stream that nobody has asked for `STREAM_SECONDS` is over, and
  what it had handed out and nobody confirmed is handed out again;
- the path pulled last may be pulled again and answers the same, so that an answer lost on the way is found;
- one channel, the primary one;
- asking what became of an order, `GET /api/v1/in/{ispb}/operations/{id}` with its end-to-end id or the id of
  the return: 200 with the pacs.002 that the SPI would send this participant now (ACSP while it waits for the
  other bank), 404 `operation-not-found` for an id that the SPI does not know from it. The catalogue has
  messages for questions (camt.060, answered by camt.054); their schemas were not at hand.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.simulators.bacen.clock import Clock
from apps.simulators.bacen.policies import Bucket, Rate
from apps.simulators.bacen.refusals import WireRefused

STREAMS, AT_ONCE = 6, 10
LONG_POLL_SECONDS, STREAM_SECONDS = 5.0, 20.0
TRAFFIC = Rate(750, 3_750)
"""Tokens a second."""
_ALLOWED = """
    accept accept-encoding connection content-encoding content-length content-type cookie host
    max-forwards transfer-encoding user-agent via
"""
ALLOWED = frozenset(_ALLOWED.split())
"""Headers that a request may have (MI 2.1.8)."""


@dataclass(frozen=True)
class Message:
    """A message on its way to a participant."""

    resource_id: str
    kind: str
    xml: bytes


@dataclass
class Stream:
    """One reader. `given` was handed out under `previous` and is not confirmed yet."""

    ispb: str
    token: str
    touched_at: datetime
    previous: str | None = None
    given: list[Message] = field(default_factory=list)


class Transport:
    """The queues of all participants that pull, and their streams."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: dict[str, deque[Message]] = {}
        self._streams: dict[str, Stream] = {}
        self._traffic: dict[str, Bucket] = {}
        self._bells: dict[str, list[asyncio.Event]] = {}

    def put(self, ispb: str, message: Message) -> None:
        """Hands a message over for a participant to pull."""
        self._queues.setdefault(ispb, deque()).append(message)
        for bell in self._bells.get(ispb, ()):
            bell.set()

    @contextmanager
    def listening(self, ispb: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is a message for a participant."""
        bell = asyncio.Event()
        bells = self._bells.setdefault(ispb, [])
        bells.append(bell)
        try:
            yield bell
        finally:
            bells.remove(bell)

    def waiting(self, ispb: str) -> int:
        """How many messages nobody has pulled yet."""
        self._end_silent_streams()
        return len(self._queues.get(ispb, ()))

    def check_traffic(self, ispb: str) -> None:
        """Lets a participant send. Raises `WireRefused`."""
        if self._bucket(ispb).is_empty(self._clock()):
            raise WireRefused(429, "rate-limit", "Limite de tráfego atingido.", Retry_After="1")

    def charge(self, ispb: str, kind: str, operations: int) -> None:
        """Takes the tokens of a message, when it is processed: the balance may go below nothing."""
        thousandths = 200 if kind == "pacs.002" else 1_000
        self._bucket(ispb).add(0, self._clock(), thousandths=-thousandths * operations)

    def open(self, ispb: str) -> Stream:
        """A new stream. Raises `WireRefused` beyond the sixth."""
        self._end_silent_streams()
        if sum(each.ispb == ispb for each in self._streams.values()) >= STREAMS:
            raise WireRefused(429, "streams", "Limite de leituras simultâneas atingido.", Retry_After="1")
        stream = Stream(ispb, secrets.token_hex(6), self._clock())
        self._streams[stream.token] = stream
        return stream

    def follow(self, ispb: str, token: str) -> tuple[Stream, bool]:
        """The stream that goes on at `token`, and whether its last answer is asked for again.

        Following confirms what was handed out before. Raises `WireRefused` for a stream that is over.
        """
        self._end_silent_streams()
        for stream in self._streams.values():
            if stream.ispb == ispb and token in {stream.token, stream.previous}:
                stream.touched_at = self._clock()
                if token == stream.token:
                    stream.given.clear()
                    return stream, False
                return stream, True
        raise WireRefused(410, "gone", "Leitura encerrada.")

    def pull(self, stream: Stream, most: int) -> list[Message]:
        """Up to so many messages, and a new token for what follows; none yet: nothing changes."""
        queue = self._queues.get(stream.ispb)
        if not queue:
            return []
        stream.given = [queue.popleft() for _ in range(min(most, len(queue)))]
        self.turn(stream)
        return stream.given

    def turn(self, stream: Stream) -> None:
        """Gives the stream its next token."""
        self._streams.pop(stream.token, None)
        stream.previous, stream.token = stream.token, secrets.token_hex(6)
        stream.touched_at = self._clock()
        self._streams[stream.token] = stream

    def close(self, ispb: str, token: str) -> None:
        """Ends a stream; what it handed out is safe. Raises `WireRefused` when it is over already."""
        stream, _ = self.follow(ispb, token)
        del self._streams[stream.token]

    def end_streams(self, ispb: str) -> None:
        """Ends a participant's streams, as if nobody had asked for them for long."""
        for stream in [each for each in self._streams.values() if each.ispb == ispb]:
            self._end(stream)

    def _end_silent_streams(self) -> None:
        since = self._clock() - timedelta(seconds=STREAM_SECONDS)
        for stream in [each for each in self._streams.values() if each.touched_at < since]:
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        """Hands out again what nobody confirmed. Whoever still waits at the stream finds it over."""
        del self._streams[stream.token]
        given, stream.given, stream.token = stream.given, [], secrets.token_hex(6)
        queue = self._queues.setdefault(stream.ispb, deque())
        queue.extendleft(reversed(given))
        for bell in self._bells.get(stream.ispb, ()):
            bell.set()

    def _bucket(self, ispb: str) -> Bucket:
        found = self._traffic.get(ispb)
        if found is None:
            found = self._traffic[ispb] = Bucket.full(TRAFFIC, self._clock(), period_seconds=1)
        return found
