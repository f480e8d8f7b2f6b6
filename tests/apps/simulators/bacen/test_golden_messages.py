"""What the simulator writes, byte for byte: `golden/<message>.xml`.

The shape of each was compared with the published examples when it was written down: whoever changes one
compares again. Identifiers come from the seed, times from the test's clock.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from apps.simulators.bacen.markup import parse
from apps.simulators.bacen.spi_schema import faults_of
from tests.apps.simulators.bacen import bodies
from tests.apps.simulators.bacen.scene import (
    BAKERY,
    JOAO,
    MARIA,
    OWN,
    PAYER,
    XML,
    Scene,
    lookup_headers,
    scene,
    served,
)

GOLDEN = Path(__file__).parent / "golden"
MADE: dict[str, Callable[[Scene], bytes]] = {}
CPF = "/api/v2/entries/52998224725"


def makes(name: str) -> Callable[[Callable[[Scene], bytes]], Callable[[Scene], bytes]]:
    def register(make: Callable[[Scene], bytes]) -> Callable[[Scene], bytes]:
        MADE[name] = make
        return make

    return register


def fetched(
    at: Scene, method: str, path: str, content: bytes | None = None, *, headers: dict[str, str] | None = None
) -> bytes:
    with served(at) as client:
        return bytes(client.request(method, path, content=content, headers=headers or XML).content)


@makes("get_entry_of_a_person")
def _(at: Scene) -> bytes:
    return fetched(at, "GET", CPF, headers=lookup_headers(at))


@makes("get_entry_of_a_company_with_statistics")
def _(at: Scene) -> bytes:
    return fetched(at, "GET", f"/api/v2/entries/{BAKERY}?IncludeStatistics=true", headers=lookup_headers(at))


@makes("problem_not_found")
def _(at: Scene) -> bytes:
    return fetched(at, "GET", "/api/v2/entries/nobody@example.com", headers=lookup_headers(at))


@makes("problem_with_a_violation")
def _(at: Scene) -> bytes:
    body = bodies.create_entry(key="5511987650009", key_type="PHONE")
    return fetched(at, "POST", "/api/v2/entries/", body)


@makes("create_entry")
def _(at: Scene) -> bytes:
    return fetched(at, "POST", "/api/v2/entries/", bodies.create_entry())


@makes("check_keys")
def _(at: Scene) -> bytes:
    return fetched(at, "POST", "/api-np/v2/keys/check", bodies.check_keys(MARIA, "nobody@example.com"))


@makes("create_claim")
def _(at: Scene) -> bytes:
    body = bodies.create_claim(kind="OWNERSHIP", key=JOAO, key_type="PHONE")
    return fetched(at, "POST", "/api/v2/claims/", body)


@makes("get_policy")
def _(at: Scene) -> bytes:
    return fetched(at, "GET", "/api/v2/policies/ENTRIES_READ_PARTICIPANT_ANTISCAN")


@makes("pacs.008_to_the_receiver")
def _(at: Scene) -> bytes:
    account = at.payment().debtor_account
    at.bacen.banks.pay("60701190", PAYER.tax_id, account, 123_456, note="Aluguel")
    return at.received()[0].xml


@makes("pacs.002_settled")
def _(at: Scene) -> bytes:
    return at.pay(at.payment())[0].xml


@makes("pacs.002_rejected")
def _(at: Scene) -> bytes:
    return at.pay(at.payment(amount_cents=0))[0].xml


@makes("pacs.004_to_the_payer")
def _(at: Scene) -> bytes:
    payment = at.payment()
    at.pay(payment)
    at.bacen.banks.give_back(at.bacen.spi.orders[payment.end_to_end_id], 5_000, "MD06")
    return at.received()[0].xml


@makes("admi.002_schema")
def _(at: Scene) -> bytes:
    at.bacen.post(OWN, at.order(at.payment()).replace(b"SLEV", b"SHAR"))
    return at.received()[0].xml


@pytest.mark.parametrize("name", MADE)
def test_a_message_is_what_it_was(name: str) -> None:
    assert MADE[name](scene()).decode() == (GOLDEN / f"{name}.xml").read_text(encoding="utf-8")


def test_every_golden_file_is_still_made() -> None:
    assert {path.stem for path in GOLDEN.glob("*.xml")} == MADE.keys()


@pytest.mark.parametrize("name", [name for name in MADE if name.startswith("pacs.")])
def test_what_the_spi_writes_fits_the_schema(name: str) -> None:
    assert faults_of(name[:8], parse((GOLDEN / f"{name}.xml").read_bytes())) == []
