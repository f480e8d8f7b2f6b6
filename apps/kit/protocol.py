"""HTTP on the wire: uvicorn's own protocol, with an end to what a request may say before its body.

uvicorn limits this for h11 alone (0.54): with httptools a single header may fill the memory, before anybody
has asked for a token.
"""

import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from apps.kit.problems import CODES, MEDIA_TYPE, Problem

HEADER_LIMIT_BYTES = 64 * 1024


class _TooLargeError(Exception):
    """Ends the parser's work on a connection."""


class LimitedProtocol(HttpToolsProtocol):
    """Answers 431 and hangs up once a request line, headers and trailers go beyond `HEADER_LIMIT_BYTES`.

    Two counts, because the parser tells a header only when it has all of it: the bytes that it told of one
    request, and the bytes that came since it last told of a request or of a body.
    """

    _told_bytes = 0
    _untold_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Takes what has arrived; what is below runs inside."""
        self._untold_bytes += len(data)
        super().data_received(data)
        if self._untold_bytes > HEADER_LIMIT_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._told_bytes = self._untold_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Some of the target is there."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is there, or a trailer."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The headers are whole; what follows is the body, which has a limit of its own."""
        self._untold_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body is there."""
        self._untold_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._untold_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what the parser cannot go on with, or may not."""
        if self._told_bytes > HEADER_LIMIT_BYTES:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _count(self, size: int) -> None:
        self._told_bytes += size
        if self._told_bytes > HEADER_LIMIT_BYTES:
            raise _TooLargeError

    def _refuse(self) -> None:
        self.transport.write(_too_large())
        self.transport.close()


def _too_large() -> bytes:
    code = "headers_too_large"
    status, title = CODES[code]
    problem = Problem(status, code, f"Request line and headers may have {HEADER_LIMIT_BYTES} bytes together.")
    body = json.dumps(problem.body(None, None)).encode()
    head = (
        f"HTTP/1.1 {status} {title}\r\nContent-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
