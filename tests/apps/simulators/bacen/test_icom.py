"""Sending and pulling over HTTP: what is kept, what comes again, and what is refused before it is read."""

import email.parser
import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from apps.simulators.bacen.markup import parse, text
from tests.apps.simulators.bacen.scene import OWN, PAYER, Scene, said, scene, served

SEND, START = f"/api/v1/in/{OWN}/msgs", f"/api/v1/out/{OWN}/stream/start"
XML = {"Content-Type": "application/xml; charset=utf-8"}
TEN = {"Accept": "multipart/mixed"}
BANK_OF_JOAO = "60701190"


@pytest.fixture
def at() -> Scene:
    return scene()


@pytest.fixture
def client(at: Scene) -> Iterator[TestClient]:
    with served(at) as opened:
        yield opened


def refused(answer: Any, status: int, kind: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+xml"
    root = parse(answer.content)
    assert root.tag == "{urn:ietf:rfc:7807}problem"
    assert text(root, "type") == f"https://icom.pi.rsfn.net.br/api/v1/error/{kind}"


def incoming(at: Scene, count: int) -> list[str]:
    account = at.payment().debtor_account
    return [at.bacen.banks.pay(BANK_OF_JOAO, PAYER.tax_id, account, 100 + number) for number in range(count)]


def end_to_end_ids(answer: Any) -> list[str | None]:
    path = "Document/FIToFICstmrCdtTrf/CdtTrfTxInf/PmtId/EndToEndId"
    return [text(parse(xml), path) for _, xml in parts(answer)]


def parts(answer: Any) -> list[tuple[str, bytes]]:
    """Resource id and message of each part."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser().parsebytes(head + answer.content)
    assert message.is_multipart()
    found = []
    for part in message.get_payload():
        assert not isinstance(part, str)
        assert part["Content-Type"] == XML["Content-Type"]
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found.append((str(part["PI-ResourceId"]), payload.strip()))
    return found


def test_a_message_is_kept_and_its_answer_is_pulled_and_confirmed(client: TestClient, at: Scene) -> None:
    payment = at.payment()
    kept = client.post(SEND, content=at.order(payment), headers=XML)
    assert (kept.status_code, kept.content) == (201, b"")
    assert len(kept.headers["pi-resourceid"]) == 32
    first = client.get(START)
    assert first.status_code == 200
    assert first.headers["content-type"] == XML["Content-Type"]
    assert said(first.content) == ("ACSC", None)
    assert first.headers["pi-resourceid"] != kept.headers["pi-resourceid"]
    after = client.get(first.headers["pi-pull-next"])
    assert (after.status_code, after.content) == (204, b"")
    assert client.delete(after.headers["pi-pull-next"]).status_code == 200
    refused(client.delete(after.headers["pi-pull-next"]), 410, "gone")
    refused(client.get(first.headers["pi-pull-next"]), 410, "gone")


def test_what_is_wrong_with_a_message_is_said_on_the_stream_not_on_the_post(client: TestClient) -> None:
    assert client.post(SEND, content=b"<nothing/>", headers=XML).status_code == 201
    answer = client.get(START)
    assert parse(answer.content).tag.startswith("{https://www.bcb.gov.br/pi/admi.002/")


def test_ten_messages_go_at_once_in_both_directions(client: TestClient, at: Scene) -> None:
    orders = [at.order(at.payment(amount_cents=number + 1)) for number in range(10)]
    body = b"".join(
        b"--cut\r\n" + b"Content-Type: application/xml\r\n\r\n" + each + b"\r\n" for each in orders
    )
    headers = {"Content-Type": "multipart/mixed; boundary=cut"}
    kept = client.post(SEND, content=body + b"--cut--\r\n", headers=headers)
    assert kept.status_code == 201
    assert len(set(kept.headers["pi-resourceid"].split(","))) == 10
    pulled = client.get(START, headers=TEN)
    assert [said(xml) for _, xml in parts(pulled)] == [("ACSC", None)] * 10


@pytest.mark.parametrize(("count", "status", "kind"), [(0, 400, "multipart"), (11, 413, "multipart")])
def test_not_none_and_not_eleven(client: TestClient, at: Scene, count: int, status: int, kind: str) -> None:
    body = b"".join(b"--cut\r\nContent-Type: application/xml\r\n\r\n<a/>\r\n" for _ in range(count))
    headers = {"Content-Type": "multipart/mixed; boundary=cut"}
    refused(client.post(SEND, content=body + b"--cut--\r\n", headers=headers), status, kind)
    assert at.bacen.transport.waiting(OWN) == 0, "nothing was kept"


def test_at_most_ten_are_handed_out_and_the_rest_follows_in_order(client: TestClient, at: Scene) -> None:
    sent = incoming(at, 12)
    first = client.get(START, headers=TEN)
    second = client.get(first.headers["pi-pull-next"], headers=TEN)
    assert [*end_to_end_ids(first), *end_to_end_ids(second)] == sent


def test_an_answer_lost_on_the_way_is_asked_for_again(client: TestClient, at: Scene) -> None:
    sent = incoming(at, 2)
    opened = client.get(START)
    path = opened.headers["pi-pull-next"]
    lost, again = client.get(path), client.get(path)
    assert (lost.content, lost.headers["pi-resourceid"]) == (again.content, again.headers["pi-resourceid"])
    path = "Document/FIToFICstmrCdtTrf/CdtTrfTxInf/PmtId/EndToEndId"
    assert text(parse(again.content), path) == sent[1]


def test_what_a_dead_reader_did_not_confirm_comes_again_under_the_same_resource_id(
    client: TestClient, at: Scene
) -> None:
    incoming(at, 3)
    dead = client.get(START, headers=TEN)
    at.pass_time(19)
    alive = client.get(START, headers=TEN)
    assert alive.status_code == 204, "the other reader may still be at work"
    at.pass_time(2)
    again = client.get(alive.headers["pi-pull-next"], headers=TEN)
    assert parts(again) == parts(dead)


def test_streams_that_are_ended_by_hand_are_over_and_their_messages_come_again_at_once(
    client: TestClient, at: Scene
) -> None:
    ids = incoming(at, 2)
    first = client.get(START, headers=TEN)
    assert client.delete(f"/simulator/streams/{OWN}").status_code == 204
    refused(client.get(first.headers["pi-pull-next"]), 410, "gone")
    again = client.get(START, headers=TEN)
    assert end_to_end_ids(again) == ids
    assert [each for each, _ in parts(again)] == [each for each, _ in parts(first)]


def test_a_closed_stream_has_confirmed_what_it_was_given(client: TestClient, at: Scene) -> None:
    incoming(at, 1)
    first = client.get(START)
    assert client.delete(first.headers["pi-pull-next"]).status_code == 200
    at.pass_time(21)
    assert client.get(START).status_code == 204


def test_the_seventh_reader_is_too_many(client: TestClient, at: Scene) -> None:
    streams = [client.get(START).headers["pi-pull-next"] for _ in range(6)]
    answer = client.get(START)
    refused(answer, 429, "streams")
    assert answer.headers["retry-after"] == "1"
    assert client.delete(streams[0]).status_code == 200
    assert client.get(START).status_code == 204


def test_each_message_goes_to_one_reader(client: TestClient, at: Scene) -> None:
    sent = incoming(at, 4)
    assert end_to_end_ids(client.get(START, headers=TEN)) == sent
    assert client.get(START, headers=TEN).status_code == 204


def test_traffic_has_its_bucket_and_a_status_costs_a_fifth(client: TestClient, at: Scene) -> None:
    transport = at.bacen.transport
    transport.charge(OWN, "pacs.008", 3_749)
    for _ in range(4):
        transport.charge(OWN, "pacs.002", 1)
    transport.check_traffic(OWN)
    transport.charge(OWN, "pacs.002", 1)  # the 3,750th token is gone
    answer = client.post(SEND, content=at.order(at.payment()), headers=XML)
    refused(answer, 429, "rate-limit")
    assert answer.headers["retry-after"] == "1"
    at.pass_time(1)
    for _ in range(750):
        transport.check_traffic(OWN)
        transport.charge(OWN, "pacs.004", 1)
    refused(client.post(SEND, content=b"", headers=XML), 429, "rate-limit")


def test_what_is_sent_is_charged(client: TestClient, at: Scene) -> None:
    at.bacen.transport.charge(OWN, "pacs.008", 3_749)
    assert client.post(SEND, content=at.order(at.payment()), headers=XML).status_code == 201
    refused(client.post(SEND, content=at.order(at.payment()), headers=XML), 429, "rate-limit")


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"Content-Type": "application/json"}, 415, "content-type"),
        ({"Content-Type": "text/xml; charset=utf-8"}, 415, "content-type"),
        ({}, 415, "content-type"),
        ({"Content-Type": "application/xml"}, 400, "charset"),
        ({"Content-Type": "application/xml; charset=iso-8859-1"}, 400, "charset"),
        (XML | {"Content-Encoding": "br"}, 415, "content-encoding"),
        (XML | {"Content-Encoding": "gzip"}, 400, "gzip"),
        (XML | {"traceparent": "00-0-0-00"}, 403, "forbidden"),
        (XML | {"X-Request-Id": "a-request"}, 403, "forbidden"),
        (XML | {"PI-ResourceId": "1"}, 403, "forbidden"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else str(value),
)
def test_a_request_of_another_kind_is_refused_and_nothing_is_kept(
    client: TestClient, at: Scene, headers: dict[str, str], status: int, kind: str
) -> None:
    refused(client.post(SEND, content=at.order(at.payment()), headers=headers), status, kind)
    assert at.bacen.spi.contas[OWN].cents == at.bacen.conta_cents


def test_messages_may_be_compressed_but_not_to_blow_up(client: TestClient, at: Scene) -> None:
    headers = XML | {"Content-Encoding": "gzip"}
    assert (
        client.post(SEND, content=gzip.compress(at.order(at.payment())), headers=headers).status_code == 201
    )
    refused(client.post(SEND, content=gzip.compress(b" " * 5_000_000), headers=headers), 413, "length")
    answer = client.get(START, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert said(answer.content) == ("ACSC", None)


@pytest.mark.parametrize("ispb", [BANK_OF_JOAO, "12345678", "9999901"], ids=["another", "unknown", "none"])
def test_nobody_sends_or_reads_for_another(client: TestClient, at: Scene, ispb: str) -> None:
    refused(client.post(f"/api/v1/in/{ispb}/msgs", content=b"<a/>", headers=XML), 403, "forbidden")
    refused(client.get(f"/api/v1/out/{ispb}/stream/start"), 403, "forbidden")


def test_what_became_of_an_order_is_told_to_who_asks(client: TestClient, at: Scene) -> None:
    payment = at.payment("silent@example.com")
    path = f"/api/v1/in/{OWN}/operations/"
    refused(client.get(path + payment.end_to_end_id), 404, "operation-not-found")
    client.post(SEND, content=at.order(payment), headers=XML)
    assert said(client.get(path + payment.end_to_end_id).content) == ("ACSP", None)
    at.pass_time(40)
    assert said(client.get(path + payment.end_to_end_id).content) == ("RJCT", "AB03")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("in", ["pacs.002.spi.1.17", "pacs.004.spi.1.5", "pacs.008.spi.1.16"]),
        ("out", ["admi.002.spi.1.5", "pacs.002.spi.1.17", "pacs.004.spi.1.5", "pacs.008.spi.1.16"]),
    ],
)
def test_the_catalog_names_the_versions(client: TestClient, path: str, expected: list[str]) -> None:
    listed = parse(client.get(f"/api/v1/{path}/catalog").content)
    assert [each.text for each in listed] == expected


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", SEND, 405, "method"),
        ("POST", START, 405, "method"),
        ("GET", "/api/v1/in", 404, "not-found"),
        ("GET", f"/api/v1/out/{OWN}/msgs", 404, "not-found"),
    ],
)
def test_what_the_icom_does_not_have_is_said(
    client: TestClient, method: str, path: str, status: int, kind: str
) -> None:
    refused(client.request(method, path), status, kind)
