"""Health of a worker over HTTP: `/livez` while its loop beats, `/readyz` while it can work."""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from apps.kit.problems import MEDIA_TYPE, Problem

LIVE_SECONDS = 60.0
"""A loop without a heartbeat for so long is wedged, and the process should be restarted."""

_log = logging.getLogger(__name__)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """A prober that was too impatient for its answer; the base class would print a traceback."""
        _log.info("a probe was not answered", exc_info=True)


class Health:
    """Serves `/livez` and `/readyz` on a thread of its own. Checks raise when the worker cannot work."""

    def __init__(
        self,
        host: str,
        port: int,
        ready: Sequence[Callable[[], None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ready = tuple(ready)
        self._clock = clock
        self._beaten_at = clock()
        self._server = _Server((host, port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stops answering and gives the port back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def beat(self) -> None:
        """Says that the loop goes round."""
        self._beaten_at = self._clock()

    def answer(self, path: str) -> tuple[int, dict[str, object]]:
        """Status and body for a path."""
        if path == "/livez":
            if self._clock() - self._beaten_at > LIVE_SECONDS:
                return 503, Problem(503, "unavailable", "The loop has stopped.").body(path, None)
            return 200, {"status": "live"}
        if path == "/readyz":
            return self._readiness(path)
        return 404, Problem(404, "not_found", "There is nothing here.").body(path, None)

    def _readiness(self, path: str) -> tuple[int, dict[str, object]]:
        for check in self._ready:
            try:
                check()
            except Exception as error:  # noqa: BLE001 (whatever a check raises means "not ready")
                _log.info("not ready", extra={"error": type(error).__name__})
                return 503, Problem(503, "unavailable", "Not ready.").body(path, None)
        return 200, {"status": "ready"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        health = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, document = health.answer(self.path)
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if status == 200 else MEDIA_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
                """Probes come every few seconds and are not worth a line."""

        return Handler
