"""Only a good access token of our pool and app proves anything."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from apps.kit.tokens import MISS_COOLDOWN_SECONDS, InvalidToken, NoKeys, Verifier
from tests.apps.signing import CLIENT, ISSUER, Key, claims, token

OURS = Key.new("ours/+=")
OTHERS = Key.new("others")


class Pool:
    """A pool whose keys tests change, and which counts how often it is asked."""

    def __init__(self, *keys: dict[str, str]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.fails = False

    def __call__(self, _: str) -> dict[str, Any]:
        self.asked += 1
        if self.fails:
            raise OSError
        return {"keys": self.keys}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def verifier(pool: Pool, clock: Callable[[], float] = time.monotonic) -> Verifier:
    return Verifier(ISSUER, "http://pool/jwks", {CLIENT}, fetch=pool, clock=clock)


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def unsigned() -> str:
    return f"{part({'alg': 'none', 'kid': OURS.kid})}.{part(claims())}."


def signed_with_the_public_key() -> str:
    text = f"{part({'alg': 'HS256', 'kid': OURS.kid, 'typ': 'JWT'})}.{part(claims())}"
    mac = hmac.new(OURS.public_pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def tampered() -> str:
    header, _, signature = token(OURS).split(".")
    return f"{header}.{part(claims(sub='somebody-else'))}.{signature}"


NOW = int(time.time())
BAD = {
    "empty": "",
    "no token at all": "abc",
    "two segments": "a.b",
    "no JSON": "a.b.c",
    "expired": token(OURS, exp=NOW - 120),
    "without exp": token(OURS, exp=None),
    "without iat": token(OURS, iat=None),
    "without sub": token(OURS, sub=None),
    "without iss": token(OURS, iss=None),
    "exp is null": f"{part({'alg': 'RS256', 'kid': OURS.kid})}.{part(claims() | {'exp': None})}.AA",
    "from the future": token(OURS, iat=NOW + 3600),
    "not yet": token(OURS, nbf=NOW + 3600),
    "of another pool": token(OURS, iss=ISSUER + "X"),
    "of another client": token(OURS, client_id="another"),
    "an id token": token(OURS, token_use="id", aud=CLIENT),
    "signed by another key": token(OTHERS, {"kid": OURS.kid}),
    "unknown kid": token(OTHERS),
    "kid is no text": f"{part({'alg': 'RS256', 'kid': 7})}.{part(claims())}.AA",
    "critical header": token(OURS, {"crit": ["exp"]}),  # type: ignore[dict-item]
    "unsigned": unsigned(),
    "algorithm swapped": signed_with_the_public_key(),
    "tampered": tampered(),
    "9 KiB": token(OURS, padding="x" * 9 * 1024),
    "deep JSON": base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.AA",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_token_proves_nothing(bad: str) -> None:
    with pytest.raises(InvalidToken):
        verifier(Pool(OURS.jwk)).verify(bad)


def test_a_good_token_names_its_caller() -> None:
    caller = verifier(Pool(OURS.jwk, OTHERS.jwk)).verify(token(OURS))
    assert caller.subject == "subject-of-ana"
    assert caller.client_id == CLIENT
    assert caller.scopes == {"aws.cognito.signin.user.admin"}


def test_a_rotated_key_is_found_by_asking_once_more() -> None:
    pool, clock = Pool(OURS.jwk), Clock()
    checks = verifier(pool, clock)
    checks.verify(token(OURS))
    pool.keys.append(OTHERS.jwk)
    clock.now += MISS_COOLDOWN_SECONDS
    assert checks.verify(token(OTHERS)).username == "ana"
    assert pool.asked == 2


def test_unknown_kids_do_not_make_the_pool_be_asked_all_the_time() -> None:
    pool, clock = Pool(OURS.jwk), Clock()
    checks = verifier(pool, clock)
    for _ in range(50):
        with pytest.raises(InvalidToken):
            checks.verify(token(OTHERS))
    assert pool.asked == 1


@pytest.mark.parametrize("fails", [True, False], ids=["the pool fails", "the pool has no keys"])
def test_the_last_good_keys_stay(fails: bool) -> None:
    pool, clock = Pool(OURS.jwk), Clock()
    checks = verifier(pool, clock)
    checks.verify(token(OURS))
    pool.keys, pool.fails = [], fails
    clock.now += MISS_COOLDOWN_SECONDS
    with pytest.raises(InvalidToken):
        checks.verify(token(OTHERS))
    assert pool.asked == 2
    assert checks.verify(token(OURS)).username == "ana"


@pytest.mark.parametrize(
    "change",
    [{"kty": "EC"}, {"use": "enc"}, {"alg": "HS256"}, {"n": "short"}],
    ids=["no RSA", "not for signatures", "another algorithm", "too short"],
)
def test_keys_that_are_not_for_this_are_left_out(change: dict[str, str]) -> None:
    with pytest.raises(InvalidToken):
        verifier(Pool(OURS.jwk | change)).verify(token(OURS))


def test_a_weak_key_is_left_out() -> None:
    weak = Key.new("weak", bits=1024)
    with pytest.raises(InvalidToken):
        verifier(Pool(weak.jwk)).verify(token(weak))


def test_it_is_ready_only_once_the_keys_were_read() -> None:
    pool = Pool(OURS.jwk)
    checks = verifier(pool)
    with pytest.raises(NoKeys):
        checks.ready()
    checks.verify(token(OURS))
    checks.ready()
