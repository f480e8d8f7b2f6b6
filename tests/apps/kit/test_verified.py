"""A token that was verified counts as known no longer, and no more loosely, than a verification would say."""

import threading
from typing import Any

import pytest
from jose import jwt

from apps.kit.tokens import MAX_TOKEN_BYTES, InvalidToken, Verifier
from apps.kit.verified import VerifiedTokens
from tests.apps.signing import CLIENT, ISSUER, Key, bad_tokens, claims, token

OURS = Key.new("ours")
OTHERS = Key.new("others")
BAD = bad_tokens(OURS, OTHERS)
NOW = 1_000.0


class Pool:
    """A pool whose keys tests change."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys)

    def __call__(self, _: str) -> dict[str, Any]:
        return {"keys": [key.jwk for key in self.keys]}


def verifier(pool: Pool) -> Verifier:
    return Verifier(ISSUER, "http://pool/jwks", {CLIENT}, fetch=pool)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signatures were verified."""
    seen: list[str] = []
    decode = jwt.decode

    def counted(token: str, *arguments: Any, **options: Any) -> Any:
        seen.append(token)
        return decode(token, *arguments, **options)

    monkeypatch.setattr(jwt, "decode", counted)
    return seen


def test_a_token_is_verified_once_and_known_from_then_on(verified: list[str]) -> None:
    checks, good = verifier(Pool(OURS)), token(OURS)
    assert checks.known(good) is None
    caller = checks.verify(good)
    assert checks.known(good) == caller
    assert verified == [good]


def test_each_of_a_callers_tokens_is_verified(verified: list[str]) -> None:
    checks, first, second = verifier(Pool(OURS)), token(OURS), token(OURS, jti="another")
    checks.verify(first)
    assert checks.known(second) is None
    checks.verify(second)
    assert verified == [first, second]


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_was_refused_is_never_known(bad: str) -> None:
    checks = verifier(Pool(OURS))
    checks.verify(token(OURS))
    with pytest.raises(InvalidToken):
        checks.verify(bad)
    assert checks.known(bad) is None


@pytest.mark.parametrize("place", [0, 1, 2], ids=["header", "claims", "signature"])
def test_one_changed_byte_makes_it_another_token(place: int) -> None:
    checks, good = verifier(Pool(OURS)), token(OURS)
    checks.verify(good)
    parts = good.split(".")
    middle = len(parts[place]) // 2
    other = "A" if parts[place][middle] != "A" else "B"
    parts[place] = parts[place][:middle] + other + parts[place][middle + 1 :]
    changed = ".".join(parts)
    assert checks.known(changed) is None
    with pytest.raises(InvalidToken):
        checks.verify(changed)


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_the_claims_of_a_known_token_under_another_algorithm_are_refused(algorithm: str) -> None:
    checks, said = verifier(Pool(OURS)), claims()
    checks.verify(jwt.encode(said, OURS.pem, "RS256", {"kid": OURS.kid}))
    forged = jwt.encode(said, "guessed", "HS256", {"kid": OURS.kid, "alg": algorithm})
    with pytest.raises(InvalidToken):
        checks.verify(forged)
    assert checks.known(forged) is None


def test_a_known_token_ends_at_its_own_end_without_leeway(verified: list[str]) -> None:
    expired_a_moment_ago = claims()["iat"] + 5
    checks, good = verifier(Pool(OURS)), token(OURS, exp=expired_a_moment_ago)
    # Verification allows for a clock that is a little behind; what it says then is not kept.
    checks.verify(good)
    assert checks.known(good) is None
    checks.verify(good)
    assert verified == [good, good]


def test_a_token_is_known_no_more_once_the_pool_has_taken_its_key_back() -> None:
    pool, good = Pool(OURS, OTHERS), token(OURS)
    checks = verifier(pool)
    checks.verify(good)
    pool.keys = [OTHERS]
    checks.refresh()
    assert checks.known(good) is None
    with pytest.raises(InvalidToken):
        checks.verify(good)


def test_another_key_under_the_same_id_does_not_make_a_token_known() -> None:
    pool, good = Pool(OURS), token(OURS)
    checks = verifier(pool)
    checks.verify(good)
    pool.keys = [Key(OURS.kid, OTHERS.private)]
    checks.refresh()
    assert checks.known(good) is None
    with pytest.raises(InvalidToken):
        checks.verify(good)


def test_a_refresh_makes_every_token_be_verified_once_more(verified: list[str]) -> None:
    pool, good = Pool(OURS), token(OURS)
    checks = verifier(pool)
    checks.verify(good)
    checks.refresh()
    assert checks.known(good) is None
    checks.verify(good)
    assert checks.known(good) is not None
    assert len(verified) == 2


@pytest.mark.parametrize("text", ["", "x" * (MAX_TOKEN_BYTES + 1), "\udcff.\udcff.\udcff", "é.é.é"])
def test_nonsense_is_unknown_and_breaks_nothing(text: str) -> None:
    assert verifier(Pool(OURS)).known(text) is None


def test_whoever_was_away_longest_is_forgotten_first() -> None:
    kept: VerifiedTokens[str] = VerifiedTokens(limit=2)
    key = object()
    for name in ("a", "b"):
        kept.remember(name, name, kid="k", key=key, expires_at=NOW + 1)
    assert kept.find("a", {"k": key}, NOW) == "a"
    kept.remember("c", "c", kid="k", key=key, expires_at=NOW + 1)
    found = [kept.find(name, {"k": key}, NOW) for name in ("a", "b", "c")]
    assert found == ["a", None, "c"]
    assert len(kept) == 2


def test_it_ends_at_the_very_second_and_is_let_go() -> None:
    kept: VerifiedTokens[str] = VerifiedTokens()
    key = object()
    kept.remember("a", "a", kid="k", key=key, expires_at=NOW)
    assert kept.find("a", {"k": key}, NOW - 0.001) == "a"
    assert kept.find("a", {"k": key}, NOW) is None
    assert len(kept) == 0


def test_many_threads_lose_and_mix_up_nothing() -> None:
    kept: VerifiedTokens[int] = VerifiedTokens(limit=50)
    key = object()
    wrong: list[int] = []

    def work(number: int) -> None:
        for turn in range(300):
            name = (number * 7 + turn) % 80
            kept.remember(str(name), name, kid="k", key=key, expires_at=NOW + 1)
            found = kept.find(str(name), {"k": key}, NOW)
            if found not in {name, None}:
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    assert len(kept) <= 50
