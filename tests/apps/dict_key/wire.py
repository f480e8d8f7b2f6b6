"""A server on 127.0.0.1 that answers the DICT's client with whatever bytes a test wants."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

ENTRY = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<GetEntryResponse><Signature></Signature><ResponseTime>2026-11-25T12:00:00.000Z</ResponseTime>
<CorrelationId>a9f13566e19f5ca51329479a5bae60c5</CorrelationId><New><Key>x</Key></New><Entry><Added when="1"/>
<Owner><Name>Bruna Lima</Name><TaxIdNumber>11144477735</TaxIdNumber><Type>NATURAL_PERSON</Type></Owner>
<KeyType>PHONE</KeyType><Key>+5511987654321</Key><Account><AccountNumber>7050321</AccountNumber>
<AccountType>CACC</AccountType><Branch>0001</Branch><Participant>18236120</Participant>
<OpeningDate>2010-01-10T03:00:00Z</OpeningDate></Account><CreationDate>2019-11-18T03:00:00Z</CreationDate>
<KeyOwnershipDate>2019-11-18T03:00:00Z</KeyOwnershipDate></Entry></GetEntryResponse>"""
PROBLEM = (
    '<?xml version="1.0"?><problem xmlns="urn:ietf:rfc:7807">'
    "<type>https://dict.pi.rsfn.net.br/api/v2/error/{code}</type><title>t</title><status>{status}</status>"
    "<correlationId>a9f13566e19f5ca51329479a5bae60c5</correlationId><new/></problem>"
)
XML, PROBLEM_XML = "application/xml;charset=UTF-8", "application/problem+xml"

Respond = Callable[[socket.socket], None]


def answer(
    body: str | bytes = ENTRY,
    *,
    status: int = 200,
    content_type: str = XML,
    length: int | None = None,
    headers: tuple[str, ...] = (),
) -> bytes:
    """An answer's bytes; `length` is what it says of its body's."""
    content = body.encode() if isinstance(body, str) else body
    head = [
        f"HTTP/1.1 {status} X",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(content) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


def problem(status: int, code: str, *headers: str) -> bytes:
    """A refusal's bytes."""
    body = PROBLEM.format(code=code, status=status)
    return answer(body, status=status, content_type=PROBLEM_XML, headers=headers)


@dataclass
class Wire:
    """`requests` are what came, head and body; `connections` counts how often somebody connected."""

    url: str
    answers: list[bytes | Respond]
    requests: list[str] = field(default_factory=list)
    connections: int = 0


@contextmanager
def served(*answers: bytes | Respond, context: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """Answers one request with each of these, whatever it asks; then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        scheme = "http" if context is None else "https"
        wire = Wire(f"{scheme}://127.0.0.1:{listening.getsockname()[1]}", list(answers))
        ending = threading.Event()

        def serve() -> None:
            while not ending.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                wire.connections += 1
                threading.Thread(target=_talk, args=(wire, connection, context, ending), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            ending.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _talk(
    wire: Wire, connection: socket.socket, context: ssl.SSLContext | None, ending: threading.Event
) -> None:
    try:
        stream = connection if context is None else context.wrap_socket(connection, server_side=True)
    except OSError:
        connection.close()
        return
    with stream:
        stream.settimeout(10)
        while wire.answers and not ending.is_set():
            try:
                request = _request(stream)
                if not request:
                    return
                wire.requests.append(request)
                response = wire.answers.pop(0)
                if isinstance(response, bytes):
                    stream.sendall(response)
                else:
                    response(stream)
                    return
            except OSError:
                return


def _request(stream: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65536)
        if not more:
            return ""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    ]
    while lengths and len(body) < int(lengths[0]):
        body += stream.recv(65536)
    return (head + b"\r\n\r\n" + body).decode()
