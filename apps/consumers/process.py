"""What every worker's process does around its loop: logs, health, and stopping when told to."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from apps.kit import logs
from apps.kit.health import Health
from apps.kit.settings import KafkaSettings, ServiceSettings


class LoopSettings(ServiceSettings):
    """What a worker without a topic reads from its environment."""

    dynamodb_endpoint: str | None = None
    outbox_shards: int


class WorkerSettings(LoopSettings, KafkaSettings):
    """What a worker with a topic reads from its environment."""


@contextmanager
def working(
    config: ServiceSettings, ready: Sequence[Callable[[], None]]
) -> Iterator[tuple[threading.Event, Callable[[], None]]]:
    """Serves health while the loop inside runs. Gives the event that says stop, and the loop's heartbeat."""
    logs.configure(config.service, config.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    health = Health(config.host, config.port, ready)
    health.start()
    with closing(health):
        yield stop, health.beat
