"""The simulator as a program on a port: one look-up, one payment, one wait for a message."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from random import SystemRandom

import pytest
import uvicorn

from apps.kit.protocol import LimitedProtocol
from apps.kit.settings import SettingsError, read
from apps.simulators.bacen.app import bacen_app
from apps.simulators.bacen.bacen import Bacen
from apps.simulators.bacen.main import SEED, BacenSettings
from apps.simulators.bacen.markup import parse, text
from tests.apps.simulators.bacen.scene import MARIA, OWN, PAYER, Scene, lookup_headers, said


@pytest.fixture
def at() -> Scene:
    return Scene(Bacen(SEED, frozenset({OWN}), chance=SystemRandom()))


@pytest.fixture
def port(at: Scene) -> Iterator[int]:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(
            bacen_app(at.bacen, OWN), log_config=None, access_log=False, http=LimitedProtocol
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        yield int(listener.getsockname()[1])
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def ask(
    port: int, method: str, path: str, body: bytes | None = None, *, headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer, answer.read()


@pytest.mark.loopback
def test_a_bank_looks_up_pays_and_is_paid_over_real_connections(at: Scene, port: int) -> None:
    looked_up, body = ask(port, "GET", f"/api/v2/entries/{MARIA}", headers=lookup_headers(at))
    assert looked_up.status == 200
    assert looked_up.headers["Keep-Alive"] == "timeout=75"
    assert text(parse(body), "Entry/Owner/Name") == "Maria da Silva"

    xml = {"Content-Type": "application/xml; charset=utf-8"}
    sent, _ = ask(port, "POST", f"/api/v1/in/{OWN}/msgs", at.order(at.payment()), headers=xml)
    assert sent.status == 201
    told, body = ask(port, "GET", f"/api/v1/out/{OWN}/stream/start")
    assert said(body) == ("ACSC", None)

    # A reader that waits is woken by what arrives, long before its seconds are over.
    woken: list[bytes] = []
    following = told.headers["PI-Pull-Next"]
    reader = threading.Thread(target=lambda: woken.append(ask(port, "GET", following)[1]))
    reader.start()
    account = {"ispb": OWN, "branch": "0001", "number": "1", "account_type": "CACC", "tax_id": PAYER.tax_id}
    paid, _ = ask(
        port,
        "POST",
        "/simulator/payments",
        json.dumps({"account": account, "amount_cents": 5}).encode(),
        headers={"Content-Type": "application/json"},
    )
    assert paid.status == 201
    reader.join(20)
    amount = "Document/FIToFICstmrCdtTrf/CdtTrfTxInf/IntrBkSttlmAmt"
    assert [text(parse(body), amount) for body in woken] == ["0.05"]


def test_it_reads_which_bank_it_serves() -> None:
    variables = {
        "SERVICE": "bacen",
        "ENVIRONMENT": "test",
        "AWS_REGION": "sa-east-1",
        "PORT": "1",
        "ISPB": OWN,
    }
    assert read(BacenSettings, variables).ispb == OWN
    with pytest.raises(SettingsError, match="ISPB: is not set"):
        read(BacenSettings, {**variables, "ISPB": ""})
