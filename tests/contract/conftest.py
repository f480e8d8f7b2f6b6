"""What the contract suites run on, started once per session."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from environments.local.broker import Broker
from environments.local.ministack import MiniStack
from tests.apps.ledger.bank import Time
from tests.contract import ministack
from tests.contract.kafka_brokers import FakePlace, Place, RealPlace, prepared, started
from tests.contract.ministack import Store

_prefixes = (f"test{number}-" for number in itertools.count(1))


@pytest.fixture(scope="session")
def emulator() -> Iterator[MiniStack]:
    """A running MiniStack."""
    with ministack.running() as started:
        yield started


@pytest.fixture
def time() -> Time:
    """A clock that the test moves. It starts today, since an emulator has no other day, and at noon in
    Brasília, where an account may pay more than at night."""
    return Time(datetime.now(UTC).replace(hour=15))


@pytest.fixture
def faked(time: Time) -> Store:
    """The catalog's tables, empty, in memory."""
    return ministack.fake_store(lambda: time().timestamp())


@pytest.fixture
def emulated(emulator: MiniStack) -> Store:
    """The catalog's tables, empty, in MiniStack."""
    return ministack.emulated_store(emulator, next(_prefixes))


@pytest.fixture(params=["faked", "emulated"])
def store(request: pytest.FixtureRequest) -> Store:
    """The catalog's tables, empty, on each DynamoDB."""
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session", params=["fake", "tansu", "apache"])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker | None]:
    """A running broker, `None` for the fake."""
    if request.param == "fake":
        yield None
        return
    directory = tmp_path_factory.mktemp(request.param)
    broker = prepared(request.param, directory / "kafka")
    with started(broker, directory / "log"):
        yield broker


@pytest.fixture
def place(broker: Broker | None) -> Iterator[Place]:
    """The catalog's topics, empty, on each broker."""
    if broker is None:
        yield FakePlace()
        return
    real = RealPlace("apache" if broker.credentials else "tansu", broker)
    yield real
    real.close()
