"""The DICT over HTTP: what is sent is what its API asks for, and nothing that comes back is trusted."""

import gzip
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3

from apps.dict_key.client import UNSEALED, Dict, DictDown, DictLimited, DictRefused, NotRegistered
from apps.dict_key.entry import Account, Owner
from apps.pix.keys import Key, KeyType, classify
from apps.pix.xml_document import BadXml, Element, parse
from tests.apps.dict_key.wire import ENTRY, PROBLEM_XML, XML, Respond, Wire, answer, problem, served
from tests.apps.pix.test_xml_document import BOMB

pytestmark = pytest.mark.loopback

PHONE, EMAIL = classify("+5511987654321"), classify("ana+b@exemplo.com")
PAYER, E2E, OURS = "52998224725", "E9999901020261125123412345678900", "99999010"
ANAS = Account(OURS, "0001", "1234567", "CACC", "2026-01-01T12:00:00.000Z")
ANA = Owner(PAYER, "Ana Souza & Filhos")
REQUEST_ID = "a946d533-7f22-42a5-9a9b-e87cd55c0f4d"


@contextmanager
def asked(*answers: bytes | Respond, total_seconds: float = 3.0) -> Iterator[tuple[Dict, Wire]]:
    with served(*answers) as wire, urllib3.PoolManager() as pool:
        yield Dict(f"{wire.url}/api/v2", OURS, pool, seal=UNSEALED, total_seconds=total_seconds), wire


def look_up(directory: Dict, key: Key = PHONE) -> object:
    return directory.look_up(key, PAYER, E2E)


def headers_of(request: str) -> dict[str, str]:
    lines = request.partition("\r\n\r\n")[0].split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


# --- what is sent -------------------------------------------------------------------------------


def test_a_look_up_carries_the_three_headers_and_an_encoded_key() -> None:
    with asked(answer()) as (directory, wire):
        look_up(directory)
    (request,) = wire.requests
    assert request.startswith("GET /api/v2/entries/%2B5511987654321 HTTP/1.1\r\n")
    headers = headers_of(request)
    assert headers["pi-requestingparticipant"] == OURS
    assert headers["pi-payerid"] == PAYER
    assert headers["pi-endtoendid"] == E2E
    assert headers["accept-encoding"] == "gzip"
    assert request.endswith("\r\n\r\n")


def test_an_email_is_encoded_too() -> None:
    with asked(problem(404, "NotFound")) as (directory, wire), pytest.raises(NotRegistered):
        look_up(directory, EMAIL)
    assert wire.requests[0].startswith("GET /api/v2/entries/ana%2Bb%40exemplo.com HTTP/1.1")


CREATED = ENTRY.replace("GetEntryResponse", "CreateEntryResponse")


@pytest.mark.parametrize(("key_type", "key"), [("PHONE", PHONE), ("EVP", None)])
def test_a_key_is_created_with_signature_first_and_a_random_one_without_a_key(
    key_type: KeyType, key: Key | None
) -> None:
    with asked(answer(CREATED, status=201)) as (directory, wire):
        directory.create_entry(key_type, key, ANAS, ANA, REQUEST_ID)
    (request,) = wire.requests
    assert request.startswith("POST /api/v2/entries/ HTTP/1.1")
    assert headers_of(request)["content-type"].startswith("application/xml")
    assert "content-encoding" not in headers_of(request)
    root = parse(request.partition("\r\n\r\n")[2].encode())
    assert (root.name, root.namespace) == ("CreateEntryRequest", "")
    assert [child.name for child in root.children] == ["Signature", "Entry", "Reason", "RequestId"]
    entry = root.find("Entry")
    assert entry is not None
    assert [child.name for child in entry.children] == [
        *(["Key"] if key else []),
        "KeyType",
        "Account",
        "Owner",
    ]
    assert entry.required("Owner/Name") == ANA.name
    assert entry.required("Account/Participant") == OURS
    assert (root.required("Reason"), root.required("RequestId")) == ("USER_REQUESTED", REQUEST_ID)


def test_a_key_is_ended_by_post_never_by_delete() -> None:
    gone = "<DeleteEntryResponse><Key>+5511987654321</Key></DeleteEntryResponse>"
    with asked(answer(gone), problem(404, "NotFound")) as (directory, wire):
        directory.delete_entry(PHONE)
        with pytest.raises(NotRegistered):
            directory.delete_entry(PHONE)
    assert wire.requests[0].startswith("POST /api/v2/entries/%2B5511987654321/delete HTTP/1.1")
    root = parse(wire.requests[0].partition("\r\n\r\n")[2].encode())
    assert [(each.name, each.text) for each in root.children] == [
        ("Signature", ""),
        ("Key", PHONE.value),
        ("Participant", OURS),
        ("Reason", "USER_REQUESTED"),
    ]


CLAIM = """<Claim><Type>PORTABILITY</Type><Key>+5511987654321</Key><KeyType>PHONE</KeyType><ClaimerAccount>
<Participant>99999010</Participant><Branch>0001</Branch><AccountNumber>1234567</AccountNumber>
<AccountType>CACC</AccountType><OpeningDate>2010-01-10T03:00:00Z</OpeningDate></ClaimerAccount><Claimer>
<Type>NATURAL_PERSON</Type><TaxIdNumber>52998224725</TaxIdNumber><Name>Ana</Name></Claimer>
<DonorParticipant>18236120</DonorParticipant><Id>123e4567-e89b-12d3-a456-426655440000</Id>
<Status>{status}</Status><ResolutionPeriodEnd>2026-12-02T10:00:00.000Z</ResolutionPeriodEnd>
<CompletionPeriodEnd>2026-12-09T10:00:00.000Z</CompletionPeriodEnd>
<LastModified>2026-11-25T10:00:00.000Z</LastModified></Claim>"""
CLAIM_ID = "123e4567-e89b-12d3-a456-426655440000"


def test_claims_are_made_stepped_and_listed_as_the_api_asks() -> None:
    steps = ("Acknowledge", "Confirm", "Cancel", "Complete")
    answers = [
        answer(f"<{name}ClaimResponse>{CLAIM.format(status=status)}</{name}ClaimResponse>", status=code)
        for name, status, code in (
            ("Create", "OPEN", 201),
            *zip(
                steps, ("WAITING_RESOLUTION", "CONFIRMED", "CANCELLED", "COMPLETED"), [200] * 4, strict=True
            ),
        )
    ]
    page = CLAIM.format(status="OPEN")
    more_of_them = f"<HasMoreElements>true</HasMoreElements><Claims>{page}</Claims>"
    listed = f"<ListClaimsResponse>{more_of_them}</ListClaimsResponse>"
    with asked(*answers, answer(listed)) as (directory, wire):
        statuses = [directory.create_claim("PORTABILITY", PHONE, ANAS, ANA).status]
        statuses += [
            directory.act_on_claim(
                step,  # type: ignore[arg-type]
                CLAIM_ID,
                reason="DEFAULT_OPERATION" if step == "Cancel" else None,
                request_id=REQUEST_ID if step == "Complete" else None,
            ).status
            for step in steps
        ]
        claims, more = directory.claims("2026-11-25T10:00:00.000Z", 200)
    assert statuses == ["OPEN", "WAITING_RESOLUTION", "CONFIRMED", "CANCELLED", "COMPLETED"]
    assert ([each.claim_id for each in claims], more) == ([CLAIM_ID], True)
    since = "ModifiedAfter=2026-11-25T10%3A00%3A00.000Z"
    query = f"Participant=99999010&IsDonor=true&IsClaimer=true&{since}&Limit=200"
    lines = [request.split(" HTTP")[0] for request in wire.requests]
    assert lines == [
        "POST /api/v2/claims/",
        *(f"POST /api/v2/claims/{CLAIM_ID}/{step.lower()}" for step in steps),
        f"GET /api/v2/claims/?{query}",
    ]
    cancel, complete = (parse(wire.requests[number].partition("\r\n\r\n")[2].encode()) for number in (3, 4))
    assert [child.name for child in cancel.children] == ["Signature", "ClaimId", "Participant", "Reason"]
    assert complete.required("RequestId") == REQUEST_ID


# --- what comes back ----------------------------------------------------------------------------


def test_an_entry_is_read_in_any_order_with_what_is_new_ignored() -> None:
    with asked(answer(headers=("Cache-Control: max-age=60",))) as (directory, _):
        found = directory.look_up(PHONE, PAYER, E2E)
    assert (found.entry.owner.name, found.entry.account.participant, found.max_age) == (
        "Bruna Lima",
        "18236120",
        60,
    )


@pytest.mark.parametrize(
    ("headers", "max_age"),
    [
        ((), 0),
        (("Cache-Control: max-age=180",), 180),
        (("Cache-Control: private, Max-Age=90",), 90),
        (("Cache-Control: max-age=180", "Age: 100"), 80),
        (("Cache-Control: max-age=180", "Age: 200"), 0),
        (("Cache-Control: no-store, max-age=180",), 0),
        (("Cache-Control: no-cache, max-age=180",), 0),
        (("Cache-Control: max-age=-1",), 0),
        (("Cache-Control: max-age=abc",), 0),
        (("Cache-Control: max-age=99999999999",), 0),
    ],
    ids=str,
)
def test_cache_control_says_how_long_an_answer_lives(headers: tuple[str, ...], max_age: int) -> None:
    with asked(answer(headers=headers)) as (directory, _):
        assert directory.look_up(PHONE, PAYER, E2E).max_age == max_age


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "EntryInvalid"), (403, "Forbidden"), (409, "ResourceConflict"), (500, "InternalServerError")],
)
def test_a_problem_is_told_by_its_code(status: int, code: str) -> None:
    with asked(problem(status, code)) as (directory, _), pytest.raises(DictRefused) as refused:
        look_up(directory)
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize(
    ("headers", "retry_after"),
    [((), None), (("Retry-After: 7",), 7), (("Retry-After: 86400",), 300), (("Retry-After: soon",), None)],
)
def test_a_dict_that_is_down_says_when_to_come_back(
    headers: tuple[str, ...], retry_after: int | None
) -> None:
    away = problem(503, "ServiceUnavailable", *headers)
    with asked(away) as (directory, _), pytest.raises(DictDown) as down:
        look_up(directory)
    assert (down.value.kind, down.value.retry_after, down.value.not_done) == (
        "unavailable",
        retry_after,
        True,
    )


def test_a_dict_that_counts_too_many_is_told_apart() -> None:
    with asked(problem(429, "RateLimited")) as (directory, _), pytest.raises(DictLimited):
        look_up(directory)


def test_nobody_who_listens_is_unreachable_and_nothing_was_done() -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        url = f"http://127.0.0.1:{once.getsockname()[1]}"
    with urllib3.PoolManager() as pool, pytest.raises(DictDown) as down:
        look_up(Dict(url, OURS, pool, seal=UNSEALED))
    assert (down.value.kind, down.value.not_done) == ("unreachable", True)


def hang(stream: socket.socket) -> None:
    """Says nothing until the other side is gone."""
    stream.recv(1)


def drip(stream: socket.socket) -> None:
    """A byte now and then, for ever."""
    stream.sendall(answer(length=100_000)[:-1])
    while True:
        stream.sendall(b" ")
        time.sleep(0.02)  # the speed of the line, which is what is tested


def cut(stream: socket.socket) -> None:
    """Half an answer."""
    stream.sendall(answer()[:-200])


@pytest.mark.parametrize(("respond", "kind"), [(hang, "timeout"), (drip, "timeout"), (cut, "bad_answer")])
def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_the_deadline(
    respond: Respond, kind: str
) -> None:
    with asked(respond, total_seconds=0.3) as (directory, _):
        started = time.monotonic()
        with pytest.raises(DictDown) as down:
            look_up(directory)
    assert time.monotonic() - started < 10, "neither hanging nor dripping ends by itself"
    assert (down.value.kind, down.value.not_done) == (kind, False)


OTHER_KEY = ENTRY.replace("+5511987654321", "+5511987654322")
REFUSED: dict[str, bytes] = {
    "a bomb": answer(BOMB),
    "an external entity": answer('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'),
    "ten megabytes": answer(b"<a>" + b"x" * 10_000_000 + b"</a>"),
    "ten megabytes in secret": answer(
        gzip.compress(b"<a>" + b"x" * 10_000_000), headers=("Content-Encoding: gzip",)
    ),
    "a length that is too short": answer(length=len(ENTRY) - 30),
    "a length that is no number": answer(headers=()).replace(b"Content-Length: ", b"Content-Length: x"),
    "HTML": answer("<html></html>", content_type="text/html"),
    "JSON": answer("{}", content_type="application/json"),
    "XML as text": answer(content_type="text/xml"),
    "no content type": answer().replace(b"Content-Type", b"X-Type"),
    "an error as XML": answer(ENTRY, status=404),
    "an error in another namespace": answer(
        "<problem><type>x/NotFound</type></problem>", status=404, content_type=PROBLEM_XML
    ),
    "an answer as a problem": answer(ENTRY, content_type=PROBLEM_XML),
    "a redirect": answer(status=302, headers=("Location: http://127.0.0.1:1/",)),
    "no gzip": answer("abc", headers=("Content-Encoding: gzip",)),
    "half a gzip": answer(gzip.compress(ENTRY.encode())[:-20], headers=("Content-Encoding: gzip",)),
    "brotli": answer(headers=("Content-Encoding: br",)),
    "another encoding": answer(ENTRY.replace("UTF-8", "UTF-16").encode("utf-16")),
    "nothing": answer(""),
    "no HTTP": b"hello\r\n\r\n",
    "another operation's answer": answer(CREATED),
    "another key": answer(OTHER_KEY),
    "a key of another type": answer(ENTRY.replace("<KeyType>PHONE", "<KeyType>EMAIL")),
    "no owner": answer(ENTRY.replace("Owner>", "Ownr>")),
    "no name": answer(ENTRY.replace("Bruna Lima", "")),
    "a name with a control character": answer(ENTRY.replace("Bruna Lima", "Bruna&#9;Lima")),
    "a person with a company's type": answer(ENTRY.replace("NATURAL_PERSON", "LEGAL_PERSON")),
    "a document that is none": answer(ENTRY.replace("11144477735", "1114447773")),
    "an account type of nobody": answer(ENTRY.replace("CACC", "GOLD")),
    "a branch with letters": answer(ENTRY.replace("0001", "00A1")),
    "an ISPB of seven": answer(ENTRY.replace("18236120", "1823612")),
    "a time that is none": answer(ENTRY.replace("2010-01-10T03:00:00Z", "yesterday")),
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_is_refused_logged_without_personal_data_and_not_kept(
    bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with asked(bad, answer()) as (directory, wire):
        with pytest.raises(DictDown) as down:
            look_up(directory)
        # The next request does not read what the last one left on the wire.
        assert directory.look_up(PHONE, PAYER, E2E).entry.owner.name == "Bruna Lima"
    assert len(wire.requests) == 2
    assert (down.value.kind, down.value.not_done) == ("bad_answer", False)
    said = repr([vars(record) for record in caplog.records if record.name.startswith("apps.")])
    assert "an answer of the DICT is refused" in said or "the DICT gave no answer" in said
    for personal in (PHONE.value, PHONE.value[1:], PAYER, "11144477735", "Bruna", "7050321", E2E, "passwd"):
        assert personal not in said


def test_more_than_was_announced_is_no_part_of_any_answer() -> None:
    smuggled = answer() + answer(ENTRY.replace("Bruna", "Mallory"))
    with asked(smuggled, answer(), answer()) as (directory, _):
        names = [directory.look_up(PHONE, PAYER, E2E).entry.owner.name for _ in range(2)]
    assert names == ["Bruna Lima", "Bruna Lima"]


def test_a_packed_answer_is_read_and_a_connection_is_used_again() -> None:
    packed = answer(
        gzip.compress(ENTRY.encode()), headers=("Content-Encoding: gzip", "Keep-Alive: timeout=60")
    )
    with asked(packed, packed, problem(404, "NotFound"), answer()) as (directory, wire):
        look_up(directory)
        look_up(directory)
        with pytest.raises(NotRegistered):
            look_up(directory)
        look_up(directory)
    assert (len(wire.requests), wire.connections) == (4, 1)


def test_an_answer_in_pieces_is_read() -> None:
    content = ENTRY.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {XML}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    pieces = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (content[:99], content[99:]))
    with asked(head + pieces + b"0\r\n\r\n") as (directory, _):
        assert directory.look_up(PHONE, PAYER, E2E).entry.owner.name == "Bruna Lima"


class Wax:
    """A seal that can be seen."""

    def sign(self, request: Element) -> Element:
        return Element(request.name, children=(Element("Signature", "sealed"), *request.children[1:]))

    def check(self, answer: Element, body: bytes) -> None:
        if answer.optional("Signature") != "sealed":
            raise BadXml("nobody signed it")


def test_a_request_is_signed_and_an_answer_that_is_not_is_refused() -> None:
    sealed = answer(CREATED.replace("<Signature></Signature>", "<Signature>sealed</Signature>"), status=201)
    with served(sealed, answer(CREATED, status=201)) as wire, urllib3.PoolManager() as pool:
        directory = Dict(wire.url, OURS, pool, seal=Wax())
        directory.create_entry("PHONE", PHONE, ANAS, ANA, REQUEST_ID)
        with pytest.raises(DictDown):
            directory.create_entry("PHONE", PHONE, ANAS, ANA, REQUEST_ID)
    assert "<Signature>sealed</Signature>" in wire.requests[0]
