"""What a service does again and again without anybody asking, in a thread of its own."""

import threading
from collections.abc import Callable


class Rounds:
    """Calls `once` every so many seconds, from `start` to `close`. `once` lets no exception out, and asks
    `stopping` where it could end early."""

    def __init__(self, name: str, every_seconds: float, once: Callable[[], None]) -> None:
        self._every_seconds = every_seconds
        self._once = once
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    @property
    def stopping(self) -> bool:
        """Whether the rounds are to end."""
        return self._stop.is_set()

    def start(self) -> None:
        """Begins, with a pause."""
        self._thread.start()

    def close(self) -> None:
        """Ends, after what is at hand."""
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stop.wait(self._every_seconds):
            self._once()
