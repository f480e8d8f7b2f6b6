"""Only a good access token of our pool and app proves anything."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from apps.kit.tokens import MISS_COOLDOWN_SECONDS, InvalidToken, NoKeys, Verifier
from tests.apps.signing import CLIENT, ISSUER, Key, bad_tokens, token

OURS = Key.new("ours/+=")
OTHERS = Key.new("others")
BAD = bad_tokens(OURS, OTHERS)


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
    foreign = token(OTHERS)
    for _ in range(50):
        with pytest.raises(InvalidToken):
            checks.verify(foreign)
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
    with pytest.raises(NoKeys):
        verifier(Pool(OURS.jwk | change)).verify(token(OURS))


def test_a_weak_key_is_left_out() -> None:
    weak = Key.new("weak", bits=1024)
    with pytest.raises(NoKeys):
        verifier(Pool(weak.jwk)).verify(token(weak))


def test_it_is_ready_only_once_the_keys_were_read() -> None:
    pool = Pool(OURS.jwk)
    checks = verifier(pool)
    with pytest.raises(NoKeys):
        checks.ready()
    checks.verify(token(OURS))
    checks.ready()


def test_without_any_key_nobody_knows_whether_a_token_is_good() -> None:
    pool = Pool(OURS.jwk)
    pool.fails = True
    with pytest.raises(NoKeys):
        verifier(pool).verify(token(OURS))
