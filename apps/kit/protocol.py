"""HTTP on the wire: uvicorn's own protocol, with an end to what a request may say before its body.

uvicorn limits this for h11 alone (0.54): with httptools a single header may fill the memory, before anybody
has asked for a token.
"""

import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from apps.kit.problems import CODES, MEDIA_TYPE, Problem

HEADER_LIMIT_BYTES = 64 * 1024


class LimitedProtocol(HttpToolsProtocol):
    """Answers 431 and hangs up once a request line and its headers go beyond `HEADER_LIMIT_BYTES`."""

    _in_headers = True
    _requests = 0
    _header_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Takes what has arrived."""
        requests, in_headers = self._requests, self._in_headers
        super().data_received(data)
        if not in_headers or self._requests != requests:
            # Some of this ended the headers, or was no header at all: the next ones begin at nought.
            self._header_bytes = 0
            return
        self._header_bytes += len(data)
        if self._header_bytes > HEADER_LIMIT_BYTES and not self.transport.is_closing():
            self.transport.write(_too_large())
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The headers are whole; what follows is the body, which has a limit of its own."""
        self._in_headers = False
        self._requests += 1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole; what follows is the next one's request line."""
        self._in_headers = True
        super().on_message_complete()


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
