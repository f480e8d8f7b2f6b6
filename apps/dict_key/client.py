"""The DICT over HTTP: one request, one verdict, and no byte of an answer believed before it is checked.

**The seam `Seal`: who vouches for a body.** Assumed, and not verified here: an enveloped XMLDSig in the
element `Signature`, first child of every body that changes data and of every answer; RSA with SHA-256; the
bank's certificate for requests, the Banco Central's for answers (Manual de Segurança, not read). `UNSEALED`
leaves the place empty and believes everything: good for the simulator alone.

Nothing is repeated here: a look-up that is asked twice is charged twice, and only the caller knows which
write may be sent again.
"""

import logging
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError
from urllib3.util import Retry, Timeout

from apps.dict_key import messages
from apps.dict_key.entry import Account, Claim, ClaimType, Entry, Owner
from apps.pix.keys import Key, KeyType
from apps.pix.xml_document import MAX_BYTES, BadXml, Element, parse, render

CONNECT_SECONDS = 1.0
READ_SECONDS = 2.0
TOTAL_SECONDS = 3.0
"""The official target is 1 s at the 99th percentile; the caller of a look-up waits 4."""
MAX_RETRY_AFTER_SECONDS = 300
CHUNK_BYTES = 64 * 1024
XML = "application/xml"
PROBLEM_XML = "application/problem+xml"

_log = logging.getLogger(__name__)


class NotRegistered(Exception):  # noqa: N818
    """The DICT has no such key."""


class DictRefused(Exception):  # noqa: N818
    """The DICT understood and says no. `code` is the DICT's own, such as `EntryLockedByClaim`."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class DictLimited(Exception):  # noqa: N818
    """The DICT counts too many requests. Nothing was done."""


class DictDown(Exception):  # noqa: N818
    """No answer that can be used. Unless `not_done`, a write may stand.

    `unreachable` and `unavailable` (503, with its Retry-After) did nothing; `timeout` and `bad_answer` may
    have.
    """

    def __init__(
        self,
        kind: Literal["unreachable", "unavailable", "timeout", "bad_answer"],
        retry_after: int | None = None,
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.retry_after = retry_after

    @property
    def not_done(self) -> bool:
        """Whether the DICT certainly did nothing."""
        return self.kind in {"unreachable", "unavailable"}


class Seal(Protocol):
    """Who vouches for bodies. What is assumed of it is said above."""

    def sign(self, request: Element) -> Element:
        """The request with its signature."""
        ...

    def check(self, answer: Element, body: bytes) -> None:
        """Raises `BadXml` when the Banco Central did not sign these bytes."""
        ...


class Unsealed:
    """No signature on either way."""

    def sign(self, request: Element) -> Element:
        """The request as it is."""
        return request

    def check(self, answer: Element, body: bytes) -> None:
        """Believes it."""


UNSEALED = Unsealed()


@dataclass(frozen=True)
class Found:
    """An entry, and for how many seconds the DICT lets a copy of the answer live."""

    entry: Entry
    max_age: int


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    root: Element


class Dict:
    """The DICT at `base_url` (up to and with `/api/v2`), asked by participant `ispb` through `pool`."""

    def __init__(
        self,
        base_url: str,
        ispb: str,
        pool: urllib3.PoolManager,
        *,
        seal: Seal,
        clock: Callable[[], float] = time.monotonic,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._ispb = ispb
        self._pool = pool
        self._seal = seal
        self._clock = clock
        self._total_seconds = total_seconds

    def look_up(self, key: Key, payer: str, end_to_end_id: str) -> Found:
        """Who a key leads to, for this payer (tax id) and the payment that will carry this id.

        Raises `NotRegistered`, `DictRefused`, `DictLimited` or `DictDown`.
        """
        headers = {
            "PI-RequestingParticipant": self._ispb,
            "PI-PayerId": payer,
            "PI-EndToEndId": end_to_end_id,
        }
        try:
            answer = self._asked("GET", messages.entry_path(key), headers=headers)
        except DictRefused as refused:
            if refused.status == 404:
                raise NotRegistered from None
            raise
        return Found(
            _usable(lambda: messages.read_entry(answer.root, "GetEntryResponse", key)),
            _max_age(answer.headers),
        )

    def create_entry(
        self, key_type: KeyType, key: Key | None, account: Account, owner: Owner, request_id: str
    ) -> Entry:
        """Registers a key; the same request again is answered the same. Raises as `look_up` does."""
        request = messages.create_entry(key_type, key, account, owner, request_id)
        answer = self._asked("POST", "/entries/", request)
        return _usable(lambda: messages.read_entry(answer.root, "CreateEntryResponse", key))

    def delete_entry(self, key: Key) -> None:
        """Ends a key. Raises `NotRegistered` for one that is gone, and as `look_up` does."""
        try:
            self._asked("POST", f"{messages.entry_path(key)}/delete", messages.delete_entry(key, self._ispb))
        except DictRefused as refused:
            if refused.status == 404:
                raise NotRegistered from None
            raise

    def create_claim(self, claim_type: ClaimType, key: Key, account: Account, claimer: Owner) -> Claim:
        """Claims a key. Raises `DictRefused`, `DictLimited` or `DictDown`."""
        answer = self._asked("POST", "/claims/", messages.create_claim(claim_type, key, account, claimer))
        return _usable(lambda: messages.read_claim(answer.root, "CreateClaimResponse"))

    def act_on_claim(
        self,
        name: Literal["Acknowledge", "Confirm", "Cancel", "Complete"],
        claim_id: str,
        *,
        reason: messages.CancelReason | None = None,
        request_id: str | None = None,
    ) -> Claim:
        """One step of a claim; the same step again is answered the same. Raises as `create_claim` does."""
        request = messages.claim_action(name, claim_id, self._ispb, reason=reason, request_id=request_id)
        answer = self._asked("POST", f"/claims/{claim_id}/{name.lower()}", request)
        return _usable(lambda: messages.read_claim(answer.root, f"{name}ClaimResponse"))

    def claims(self, modified_after: str, limit: int) -> tuple[list[Claim], bool]:
        """Claims of which we are donor or claimer that changed since, and whether there are more."""
        query = urlencode(
            {
                "Participant": self._ispb,
                "IsDonor": "true",
                "IsClaimer": "true",
                "ModifiedAfter": modified_after,
                "Limit": limit,
            }
        )
        headers = {"PI-RequestingParticipant": self._ispb}
        answer = self._asked("GET", f"/claims/?{query}", headers=headers)
        return _usable(lambda: messages.read_claims(answer.root))

    def _asked(
        self, method: str, path: str, request: Element | None = None, headers: Mapping[str, str] | None = None
    ) -> _Answer:
        """The answer to a request that the DICT took. Raises `DictRefused`, `DictLimited` or `DictDown`."""
        sent = {"Accept": f"{XML}, {PROBLEM_XML}", "Accept-Encoding": "gzip", **(headers or {})}
        body = None
        if request is not None:
            sent["Content-Type"] = f"{XML}; charset=utf-8"
            body = render(self._seal.sign(request))
        started = self._clock()
        try:
            answer = self._exchanged(method, self._base + path, sent, body)
        except DictDown as down:
            # Neither path nor body: both hold the key.
            _log.warning(
                "the DICT gave no answer that can be used",
                extra={"method": method, "kind": down.kind, "ms": self._ms(started)},
            )
            raise
        _log.info(
            "asked the DICT",
            extra={"method": method, "status": answer.status, "ms": self._ms(started)},
        )
        if answer.status in {200, 201}:
            return answer
        raise self._refusal(answer)

    @staticmethod
    def _refusal(answer: _Answer) -> DictRefused | DictDown:
        return DictRefused(answer.status, _usable(lambda: messages.read_problem(answer.root)).code)

    def _exchanged(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> _Answer:
        deadline = self._clock() + self._total_seconds
        try:
            response = self._pool.request(
                method,
                url,
                body=body,
                headers=dict(headers),
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=Retry(total=False, redirect=0),
                timeout=Timeout(connect=CONNECT_SECONDS, read=min(READ_SECONDS, self._total_seconds)),
            )
        except HTTPError as error:
            raise _no_answer(error) from None
        answer = None
        try:
            answer = self._read(response, deadline)
        except HTTPError as error:
            raise _no_answer(error) from None
        except BadXml as bad:
            _log.warning("an answer of the DICT is refused", extra={"reason": str(bad)})
            raise DictDown("bad_answer") from None
        finally:
            if answer is None:
                # Whatever is still on the wire belongs to no other request.
                response.close()
        response.release_conn()
        return answer

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> _Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        if response.status == 429:
            raise DictLimited
        if response.status == 503:
            raise DictDown("unavailable", _retry_after(headers))
        body = self._body(response, headers, deadline)
        expected = XML if response.status in {200, 201} else PROBLEM_XML
        if headers.get("content-type", "").partition(";")[0].strip().lower() != expected:
            raise BadXml("it is of another content type")
        root = parse(body)
        self._seal.check(root, body)
        return _Answer(response.status, headers, root)

    def _body(self, response: urllib3.BaseHTTPResponse, headers: Mapping[str, str], deadline: float) -> bytes:
        """All of the body, decoded, as far as it may be long. A length that lies ends here."""
        announced = headers.get("content-length", "0")
        if not announced.isdigit() or int(announced) > MAX_BYTES:
            raise BadXml("it is too large")
        body = bytearray()
        while chunk := response.read1(CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_BYTES:
                raise BadXml("it is too large")
            if self._clock() > deadline:
                raise DictDown("timeout")
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding == "gzip":
            return _unpacked(bytes(body))
        if encoding:
            raise BadXml("it is encoded in a way that nobody asked for")
        return bytes(body)

    def _ms(self, started: float) -> float:
        return round((self._clock() - started) * 1000, 2)


R = TypeVar("R")


def _usable(read: Callable[[], R]) -> R:
    """What a body says. Raises `DictDown` when it cannot be used."""
    try:
        return read()
    except BadXml as bad:
        _log.warning("an answer of the DICT is refused", extra={"reason": str(bad)})
        raise DictDown("bad_answer") from None


def _unpacked(body: bytes) -> bytes:
    """What a gzip body holds, and never more of it than may be. Raises `BadXml`."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        raise BadXml("it is no gzip") from None
    if len(plain) > MAX_BYTES or not unpacker.eof:
        raise BadXml("it is too large, or cut off")
    return plain


def _no_answer(error: HTTPError) -> DictDown:
    if isinstance(error, NewConnectionError | ConnectTimeoutError):
        return DictDown("unreachable")
    if isinstance(error, ReadTimeoutError):
        return DictDown("timeout")
    return DictDown("bad_answer")


def _retry_after(headers: Mapping[str, str]) -> int | None:
    text = headers.get("retry-after", "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        return None
    return min(int(text), MAX_RETRY_AFTER_SECONDS)


def _max_age(headers: Mapping[str, str]) -> int:
    """How long an answer may be kept, by its Cache-Control less its Age; 0 when it may not at all."""
    directives: dict[str, str] = {}
    for part in headers.get("cache-control", "").lower().split(","):
        name, _, value = part.strip().partition("=")
        directives[name] = value.strip('"')
    if {"no-store", "no-cache"} & directives.keys():
        return 0
    ages = [directives.get("max-age", "0"), headers.get("age", "0").strip()]
    if not all(each.isascii() and each.isdigit() and len(each) <= 9 for each in ages):
        return 0
    return max(0, int(ages[0]) - int(ages[1]))
