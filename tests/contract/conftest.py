"""What the contract suites run on, started once per session."""

from collections.abc import Iterator

import pytest

from environments.local.broker import Broker
from tests.contract.kafka_brokers import FakePlace, Place, RealPlace, prepared, started


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
