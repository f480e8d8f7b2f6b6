"""Nothing that is logged or measured holds a key, a document, an account number or a token."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3

from apps.dict_key.client import UNSEALED, Dict
from apps.kit import logs
from apps.pix.keys import classify
from tests.apps.dict_key.desk import ANAS, TAX_IDS, desk
from tests.apps.dict_key.directory import BRUNA, THEIRS, lost
from tests.apps.dict_key.wire import ENTRY, answer, problem, served
from tests.apps.serving import ANA, BETO, signed_in

PHONE = classify("+5511987654321")


@contextmanager
def as_in_production() -> Iterator[None]:
    """The process's log as `main` sets it up, with everything that can be switched on."""
    root = logging.getLogger()
    before = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in ("apps", "kafka", "urllib3")}
    logs.configure("dict_key", "DEBUG")
    try:
        yield
    finally:
        root.handlers, root.level = before
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def personal(*more: str) -> list[str]:
    """What must not be read in any output."""
    return [
        "5511987654321",
        "98765-4321",
        *TAX_IDS.values(),
        BRUNA.tax_id,
        BRUNA.name,
        THEIRS.number,
        "0012345",
        "ana@exemplo.com",
        *more,
    ]


def test_a_whole_journey_writes_nothing_personal(capsys: pytest.CaptureFixture[str]) -> None:
    at = desk()
    at.directory.holds(PHONE)
    bearer = signed_in(ANA)["Authorization"].removeprefix("Bearer ")
    headers = signed_in(ANA, **{"Idempotency-Key": "k"})
    with as_in_production(), at.served() as client:
        for body in (
            {"key": "(11) 98765-4321"},
            {"key": TAX_IDS[BETO]},
            {"key": "529.982.247-26"},
            {"key": 7},
        ):
            client.post("/keys/lookup", json=body, headers=headers)
        for subject in (ANA, "nobody"):
            client.post("/keys/lookup", json={"key": PHONE.value}, headers=signed_in(subject))
        at.directory.after = [lost()]
        mail = {"key_type": "EMAIL", "key": "ana@exemplo.com", "account_id": ANAS}
        made = [client.post("/keys", json=mail, headers=headers) for _ in range(2)][1].json()
        taken = {"key_type": "PHONE", "key": PHONE.value, "account_id": ANAS}
        client.post("/keys", json=taken, headers=signed_in(ANA, **{"Idempotency-Key": "t"}))
        claim = {"type": "OWNERSHIP", "key": PHONE.value, "account_id": ANAS}
        client.post("/keys/claims", json=claim, headers=headers)
        client.get("/keys", headers=headers)
        at.directory.before = [lost()]
        client.delete(f"/keys/{made['key_id']}", headers=headers)
        client.post("/keys/lookup", json={"key": PHONE.value}, headers={"Authorization": "Bearer x.y.z"})
        at.directory.before = [lost(), lost()]
        at.chores.once()
    written = capsys.readouterr()
    lines = [json.loads(line) for line in written.out.splitlines()]
    assert len([line for line in lines if line.get("message") == "request"]) >= 11
    for each in personal(bearer, bearer.split(".")[1]):
        assert each not in written.out + written.err


@pytest.mark.loopback
@pytest.mark.parametrize(
    "bad",
    [
        answer(),
        problem(404, "NotFound"),
        problem(400, "EntryInvalid"),
        answer(ENTRY.replace("Owner>", "Ownr>")),
        answer(ENTRY[:-50]),
        # urllib3 warns of headers that it cannot read, and names the address.
        answer(headers=("Broken header without a colon",)),
    ],
    ids=["fine", "missed", "refused", "no owner", "cut", "broken headers"],
)
def test_nothing_on_the_way_to_the_dict_is_written_either(
    bad: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with as_in_production(), served(bad) as wire, urllib3.PoolManager() as pool:
        error = failure(Dict(wire.url, "99999010", pool, seal=UNSEALED))
    assert not [each for each in personal() if each in f"{error} {error!r}"]
    written = capsys.readouterr()
    assert "the DICT" in written.out
    for each in personal("%2B55"):
        assert each not in written.out + written.err


def failure(directory: Dict) -> Exception | None:
    """What a look-up raises, logged as a process border would."""
    try:
        directory.look_up(PHONE, TAX_IDS[BETO], "E9999901020261125123412345678900")
    except Exception as error:
        logging.getLogger("apps.test").exception("failed")
        return error
    return None
