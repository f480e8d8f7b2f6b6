"""Tokens that were verified a moment ago, so that the next request with the same one costs a digest.

What is kept proves no more than a verification would: a token counts as known only byte for byte, only until
it expires, without leeway, and only while the pool still publishes the very key that it was verified with. A
key that is read again is a new one, so that whatever a refresh changes is verified anew. What was refused is
never kept. The tokens themselves are not kept either, only their digests.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

KNOWN_TOKENS = 4096
"""Some 3 MB. Beyond, whoever was away longest is verified again."""

C = TypeVar("C")


@dataclass(frozen=True)
class _Verified(Generic[C]):
    caller: C
    kid: str
    key: object
    expires_at: float


class VerifiedTokens(Generic[C]):
    """Callers by the digest of their whole token. Many threads may use it."""

    def __init__(self, limit: int = KNOWN_TOKENS) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._verified: OrderedDict[bytes, _Verified[C]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._verified)

    def remember(self, token: str, caller: C, *, kid: str, key: object, expires_at: float) -> None:
        """Keeps whom a token proved, by the key that verified it, until `expires_at` (epoch seconds)."""
        with self._lock:
            self._verified[_digest(token)] = _Verified(caller, kid, key, expires_at)
            while len(self._verified) > self._limit:
                self._verified.popitem(last=False)

    def find(self, token: str, keys: Mapping[str, object], now: float) -> C | None:
        """Whom this very token proved, if it still does; `keys` are those that the pool publishes now."""
        digest = _digest(token)
        with self._lock:
            found = self._verified.get(digest)
            if found is None:
                return None
            if found.expires_at <= now or keys.get(found.kid) is not found.key:
                del self._verified[digest]
                return None
            self._verified.move_to_end(digest)
            return found.caller


def _digest(token: str) -> bytes:
    # A header can hold bytes that are no text; what they are decoded to is still what was compared.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
