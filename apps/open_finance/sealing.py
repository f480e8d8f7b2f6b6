"""What is kept at rest is sealed with our own key (AES-256-GCM), each text bound to the place where it is.

Keys have ids, so that a new one can come while old texts are still read. A text that was moved to another
item, or changed, does not open.
"""

import base64
import binascii
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
KEY_BYTES = 32


class Unreadable(Exception):  # noqa: N818
    """A sealed text does not open: another key, another place, or changed."""


class Sealer:
    """Seals with the current key, opens with any of them."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        if current not in keys or any(len(key) != KEY_BYTES for key in keys.values()):
            raise ValueError("data keys have 32 bytes each, and the current one must be among them")
        self._keys = {name: AESGCM(key) for name, key in keys.items()}
        self._current = current

    def seal(self, text: str, place: str) -> str:
        """The text as only we can read it, and only at this place."""
        nonce = os.urandom(NONCE_BYTES)
        hidden = self._keys[self._current].encrypt(nonce, text.encode(), _bound(self._current, place))
        return f"{self._current}.{base64.b64encode(nonce + hidden).decode()}"

    def open(self, sealed: str, place: str) -> str:
        """The text that was sealed for this place. Raises `Unreadable`."""
        name, _, content = sealed.partition(".")
        key = self._keys.get(name)
        if key is None:
            raise Unreadable("unknown key")
        try:
            raw = base64.b64decode(content, validate=True)
            return key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(name, place)).decode()
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise Unreadable(place.partition("#")[0]) from error


def _bound(key: str, place: str) -> bytes:
    return f"{key}\n{place}".encode()
