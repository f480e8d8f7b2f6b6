"""The pool's keys for a service that must not reach the pool: what one service read, another believes."""

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from apps.kit import pool_keys
from apps.kit.dynamo import Unavailable
from apps.kit.tokens import InvalidToken, NoKeys, Verifier
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables
from tests.apps.kit.faulty_dynamo import Faulty, refuse
from tests.apps.signing import CLIENT, ISSUER, Key, bad_tokens, token

URL = "http://pool/jwks"
POOL, ROTATED = Key.new("pool"), Key.new("rotated")


class Pool:
    """Cognito's end: the keys that it has now."""

    def __init__(self, *keys: Key) -> None:
        self.keys = keys

    def __call__(self, url: str) -> Mapping[str, Any]:
        assert url == URL
        return {"keys": [key.jwk for key in self.keys]}


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def store() -> FakeDynamo:
    return FakeDynamo(catalog_tables(""), lambda: 0.0)


def reader(store: Any, clock: Time) -> Verifier:
    """The service that cannot reach the pool."""
    fetch = pool_keys.published(store, "accounts")
    return Verifier(ISSUER, URL, {CLIENT}, fetch=fetch, clock=clock)


def test_what_one_service_read_another_verifies_with(store: FakeDynamo) -> None:
    pool_keys.publishing(store, "accounts", Pool(POOL))(URL)
    assert reader(store, Time()).verify(token(POOL)).subject == "subject-of-ana"


def test_until_somebody_published_nobody_can_be_verified(store: FakeDynamo) -> None:
    clock = Time()
    verifier = reader(store, clock)
    with pytest.raises(NoKeys):
        verifier.verify(token(POOL))
    pool_keys.publishing(store, "accounts", Pool(POOL))(URL)
    clock.at += 60
    assert verifier.verify(token(POOL)).subject == "subject-of-ana"


def test_a_rotation_arrives_with_the_next_reading(store: FakeDynamo) -> None:
    clock = Time()
    pool = Pool(POOL)
    publish = pool_keys.publishing(store, "accounts", pool)
    publish(URL)
    verifier = reader(store, clock)
    verifier.verify(token(POOL))
    pool.keys = (ROTATED,)
    publish(URL)
    clock.at += 60
    assert verifier.verify(token(ROTATED)).subject == "subject-of-ana"


@pytest.mark.parametrize("bad", bad_tokens(POOL, Key.new("others")).items(), ids=lambda bad: bad[0])
def test_a_token_that_proves_nothing_proves_nothing_here_either(
    store: FakeDynamo, bad: tuple[str, str]
) -> None:
    pool_keys.publishing(store, "accounts", Pool(POOL))(URL)
    with pytest.raises(InvalidToken):
        reader(store, Time()).verify(bad[1])


def test_an_empty_set_does_not_replace_a_good_one(store: FakeDynamo) -> None:
    pool_keys.publishing(store, "accounts", Pool(POOL))(URL)
    pool_keys.publishing(store, "accounts", Pool())(URL)
    assert reader(store, Time()).verify(token(POOL)).subject == "subject-of-ana"


def test_keys_of_another_pool_are_not_taken(store: FakeDynamo) -> None:
    pool_keys.publishing(store, "accounts", Pool(POOL))(URL)
    with pytest.raises(Unavailable):
        pool_keys.published(store, "accounts")("http://another/jwks")


@pytest.mark.parametrize("code", ["InternalServerError", "AccessDeniedException"])
def test_who_cannot_publish_still_has_the_keys(store: FakeDynamo, code: str) -> None:
    faulty = Faulty(store, "put_item", [refuse(code)])
    fetch = pool_keys.publishing(faulty, "accounts", Pool(POOL))
    assert fetch(URL) == {"keys": [POOL.jwk]}
    with pytest.raises(ClientError):
        refuse(code)("PutItem", dict)
