"""What the SPI has for the bank, on its way there: each message at least once, and in any order.

A message that was handed out and not acknowledged comes again once its reader is gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulator.world import Process, World

AT_ONCE = 10
PULL_SECONDS = 5.0
AGAIN_SECONDS = 10.0


@dataclass
class Stream:
    """Messages by when they can be read, and those that a reader has and did not acknowledge."""

    world: World
    waiting: list[tuple[float, bytes]] = field(default_factory=list)
    given: dict[Process, Sequence[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.news = self.world.signal()

    @property
    def empty(self) -> bool:
        """Whether nothing is on its way."""
        return not self.waiting and not any(self.given.values())

    def put(self, message: bytes, seconds: float) -> None:
        """Hands a message over, to be read so much later."""
        self.waiting.append((self.world.now + seconds, message))
        self.news.set()

    def pull(self, reader: Process, twice: float) -> Sequence[bytes]:
        """Some of what there is, as soon as there is any; nothing after some seconds. `twice` is how probably
        a message stays, and comes again."""
        world, chance = self.world, self.world.chance
        for gone in [each for each in self.given if not each.alive]:
            self.back(gone)
        if not any(since <= world.now for since, _ in self.waiting):
            self.news.clear()
            soonest = min((since - world.now for since, _ in self.waiting), default=PULL_SECONDS)
            self.news.wait(min(soonest, PULL_SECONDS))
        ready = [each for each in self.waiting if each[0] <= world.now]
        chance.shuffle(ready)
        taken = ready[: chance.randint(1, AT_ONCE)]
        for each in taken:
            self.waiting.remove(each)
            if chance.random() < twice:
                self.waiting.append((world.now + chance.uniform(0.0, AGAIN_SECONDS), each[1]))
        self.given[reader] = [message for _, message in taken]
        return self.given[reader]

    def back(self, reader: Process) -> None:
        """A reader is gone: what it had comes again."""
        self.waiting += [(self.world.now, message) for message in self.given.pop(reader, ())]
