"""Ports of 127.0.0.1 that stay ours from the moment that they are chosen.

Seconds pass until a service listens on its port, and some more when it is restarted; meanwhile the system
would give the port to any other program, or to a connection as its source.
"""

import contextlib
import socket
import sys


class Ports:
    """The ports of one environment, held until `close`."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._held = contextlib.ExitStack()

    def take(self, wanted: int | None = None) -> int:
        """A free port, or the one that is `wanted`. Raises `OSError` when that is somebody else's."""
        while True:
            holder = socket.socket()
            # With this on both sides Linux lets the service listen where this socket only stands. Another
            # system would let nobody, so there the port is not held.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                holder.bind(("127.0.0.1", wanted or 0))
            except OSError:
                holder.close()
                raise
            port: int = holder.getsockname()[1]
            if sys.platform == "linux":
                self._held.callback(holder.close)
            else:
                holder.close()
            if wanted is not None or port not in self._taken:
                self._taken.add(port)
                return port

    def close(self) -> None:
        """Lets them go."""
        self._held.close()
