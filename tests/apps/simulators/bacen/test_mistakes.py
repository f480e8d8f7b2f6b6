"""The mistakes that simulators of this domain usually make (facts, section 6): none of them is made here.

Items 10 and 12 to 14 are of a bank's own books, of Open Finance and of limits: none could be made here.
`tests/apps/test_known_mistakes.py` says where each is tested. Floats are looked for in all services at once,
by `tests/apps/test_no_floats.py`.
"""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from apps.simulators.bacen.documents import is_valid
from apps.simulators.bacen.faults import Fault
from apps.simulators.bacen.markup import find, parse, text
from apps.simulators.bacen.orders import SETTLED_WITHIN
from tests.apps.simulators.bacen import bodies
from tests.apps.simulators.bacen.scene import (
    BAKERY,
    MARIA,
    NOON,
    OWN,
    PAYER,
    WORKSHOP,
    XML,
    Scene,
    lookup_headers,
    outcomes,
    problem,
    scene,
    served,
)

USER = "ENTRIES_READ_USER_ANTISCAN"


@pytest.fixture
def at() -> Scene:
    return scene()


@pytest.fixture
def client(at: Scene) -> Iterator[TestClient]:
    with served(at) as opened:
        yield opened


def look_up(client: TestClient, at: Scene, key: str, **changes: str) -> Any:
    return client.get(f"/api/v2/entries/{key}", headers=lookup_headers(at, **changes))


def test_1_a_key_of_ones_own_bank_is_not_answered_and_a_book_transfer_does_not_pass(
    client: TestClient, at: Scene
) -> None:
    client.post("/api/v2/entries/", content=bodies.create_entry(), headers=XML)
    problem(look_up(client, at, bodies.KEY), 400, "EntryCannotBeQueriedForBookTransfer")
    assert outcomes(at.pay(at.payment(bodies.KEY))) == [("pacs.002", "RJCT", "AG12")]


def test_2_amounts_have_two_decimals_on_the_wire(at: Scene) -> None:
    assert b'<IntrBkSttlmAmt Ccy="BRL">0.05</IntrBkSttlmAmt>' in at.order(at.payment(amount_cents=5))


def test_3_an_identifier_in_brasilias_time_looks_three_hours_old_and_still_passes_but_a_day_old_does_not(
    at: Scene,
) -> None:
    assert outcomes(at.pay(at.payment(end_to_end_id="E99999010202611251200abcdefghijk"))) == [
        ("pacs.002", "ACSC", None)
    ], "the SPI tolerates twelve hours"
    assert at.end_to_end_id()[9:21] == "202611251500", "but what is made here is made in UTC"
    assert outcomes(at.pay(at.payment(end_to_end_id="E99999010202611241500abcdefghijk"))) == [
        ("pacs.002", "RJCT", "FF08")
    ]


def test_3_an_ispb_may_have_letters_and_case_counts(client: TestClient) -> None:
    at = scene()
    at.bacen.live |= {"99999A04"}
    at.bacen.participants |= {"99999A04"}
    assert at.bacen.identifiers.operation("E", "99999A04", NOON).startswith("E99999A04202611251500")
    with served(at) as other:
        end_to_end_id = at.end_to_end_id("99999A04")
        assert look_up(other, at, MARIA, PI_EndToEndId=end_to_end_id).status_code == 200
        problem(look_up(other, at, MARIA, PI_EndToEndId=end_to_end_id.lower()), 400, "BadRequest")


@pytest.mark.parametrize(("same", "left"), [(True, 100), (False, 99)], ids=["the same id", "another id"])
def test_3_only_the_identifier_of_the_look_up_gives_its_token_back(
    client: TestClient, at: Scene, same: bool, left: int
) -> None:
    payment = at.payment()
    looked_up = payment.end_to_end_id if same else at.end_to_end_id()
    assert look_up(client, at, MARIA, PI_EndToEndId=looked_up).status_code == 200
    at.pay(payment)
    assert at.bacen.limits.bucket(USER, PAYER.tax_id).tokens(NOON) == left


def test_3_a_rejected_order_has_used_its_identifier_up(at: Scene) -> None:
    payment = at.payment("refuses@example.com")
    assert outcomes(at.pay(payment)) == [("pacs.002", "RJCT", "DS04")]
    assert outcomes(at.pay(payment)) == [("pacs.002", "RJCT", "DUPL")]


def test_4_a_look_up_pays_by_its_outcome_from_the_right_bucket(client: TestClient, at: Scene) -> None:
    def left() -> tuple[int, int]:
        return tuple(  # type: ignore[return-value]
            at.bacen.limits.bucket(policy, PAYER.tax_id).tokens(NOON) for policy in (USER, f"{USER}_V2")
        )

    assert look_up(client, at, MARIA).status_code == 200
    assert left() == (99, 100)
    assert look_up(client, at, BAKERY).status_code == 200
    assert left() == (99, 99)
    assert look_up(client, at, "Maria@example.com").status_code == 400
    assert left() == (99, 99)
    for _ in range(5):
        assert look_up(client, at, "nobody@example.com").status_code == 404
    assert left() == (-1, 99)
    assert look_up(client, at, MARIA).status_code == 429
    psp = at.bacen.limits.bucket("ENTRIES_READ_PARTICIPANT_ANTISCAN", OWN)
    assert psp.tokens(NOON) == 50_000 - 2 - 5 * 3


def test_5_what_must_not_be_cached_says_so(client: TestClient, at: Scene) -> None:
    assert look_up(client, at, MARIA).headers["cache-control"] == "no-store"
    assert look_up(client, at, "nobody@example.com").headers["cache-control"] == "no-store"
    assert look_up(client, at, BAKERY).headers["cache-control"] == "private, max-age=180"


def test_5_no_document_key_account_or_payer_is_logged(
    client: TestClient, at: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="apps"):
        look_up(client, at, MARIA)
        look_up(client, at, "52998224725")
        client.get(f"/api/v2/persons/{PAYER.tax_id}/statistics")
        client.post("/api/v2/entries/", content=bodies.create_entry(), headers=XML)
        client.post("/simulator/payments", json={"key": bodies.KEY, "amount_cents": 1})
        at.pay(at.payment())
    written = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "/api/v2/entries/{key:path}" in written, "the requests were logged"
    for secret in (
        MARIA,
        "52998224725",
        PAYER.tax_id,
        bodies.KEY,
        at.entry(MARIA).account.number,
        "0000012345",
    ):
        assert secret not in written


def test_6_the_dict_speaks_xml_deletes_by_post_and_its_errors_have_their_namespace(
    client: TestClient, at: Scene
) -> None:
    assert look_up(client, at, MARIA).headers["content-type"] == "application/xml"
    problem(client.delete(f"/api/v2/entries/{MARIA}"), 405, "MethodNotAllowed")
    assert look_up(client, at, MARIA).status_code == 200
    problem(look_up(client, at, "nobody@example.com"), 404, "NotFound")


def test_6_new_fields_are_read_over_and_entities_are_not_resolved(client: TestClient) -> None:
    known = bodies.create_entry(more="<Tomorrow>yes</Tomorrow>")
    assert client.post("/api/v2/entries/", content=known, headers=XML).status_code == 201
    bomb = b'<!DOCTYPE x [<!ENTITY y "z">]>' + bodies.create_entry(key="b@example.com").partition(b"?>")[2]
    problem(client.post("/api/v2/entries/", content=bomb, headers=XML), 400, "BadRequest")


def test_7_companies_have_letters_zeros_are_kept_and_sample_documents_are_nobodys(
    client: TestClient, at: Scene
) -> None:
    assert text(parse(look_up(client, at, WORKSHOP).content), "Entry/Owner/TaxIdNumber") == WORKSHOP
    shown = parse(look_up(client, at, "52998224725").content)
    assert text(shown, "Entry/Account/Participant") == "00000000"
    assert len(text(shown, "Entry/Account/AccountNumber") or "") == 10
    assert look_up(client, at, MARIA, PI_PayerId=WORKSHOP).status_code == 200
    for sample in ("11122233300", "43908445778", "11222333000150", "50685362000135"):
        assert not is_valid(sample)
        assert look_up(client, at, sample).status_code == 404, sample
        at.pass_time(600)


@pytest.mark.parametrize("key", ["MARIA.SILVA@example.com", "529.982.247-25", "5511987650001"])
def test_8_the_dict_puts_no_key_in_order(client: TestClient, at: Scene, key: str) -> None:
    problem(look_up(client, at, key), 400, "BadRequest")


def test_8_eleven_digits_are_a_document_never_a_telephone(client: TestClient, at: Scene) -> None:
    assert look_up(client, at, "%2B5511987650001").status_code == 200
    problem(look_up(client, at, "11987650001"), 404, "NotFound")


def test_9_nothing_is_credited_before_accc_and_who_does_not_know_asks(client: TestClient, at: Scene) -> None:
    at.bacen.faults.add(Fault("delivery", "lost", participant=OWN, message="pacs.002"))
    account = at.payment().debtor_account
    order_id = at.bacen.banks.pay("60701190", PAYER.tax_id, account, 100)
    at.received()
    assert at.status_of(order_id) == ("ACSP", None), "in process is not settled"
    assert at.bacen.spi.contas[OWN].cents == at.bacen.conta_cents
    at.bacen.post(OWN, at.answer(order_id, "ACSP"))
    assert outcomes(at.received()) == [], "the ACCC is lost"
    assert at.status_of(order_id) == ("ACCC", None)


def test_11_the_limit_is_forty_seconds_not_ten(at: Scene) -> None:
    assert SETTLED_WITHIN.total_seconds() == 40
    at.bacen.faults.add(Fault("payee", "slow", seconds=39))
    at.pay(at.payment())
    at.pass_time(39)
    assert outcomes(at.received()) == [("pacs.002", "ACSC", None)]


@pytest.mark.parametrize("key_type", ["EMAIL", "CPF", "CNPJ", "EVP"])
def test_15_ownership_is_claimed_of_telephones_alone(client: TestClient, key_type: str) -> None:
    keys = {
        "EMAIL": MARIA,
        "CPF": "52998224725",
        "CNPJ": BAKERY,
        "EVP": "3f1c9d52-7b1e-4c5a-9d0e-6a2b8c4d0e1f",
    }
    body = bodies.create_claim(kind="OWNERSHIP", key=keys[key_type], key_type=key_type)
    problem(client.post("/api/v2/claims/", content=body, headers=XML), 400, "ClaimInvalid")


def test_15_a_salary_account_receives_no_pix(client: TestClient, at: Scene) -> None:
    salary = "salary@example.com"
    assert text(parse(look_up(client, at, salary).content), "Entry/Account/AccountType") == "SLRY"
    assert outcomes(at.pay(at.payment(salary))) == [("pacs.002", "RJCT", "AC14")]


def test_15_the_second_version_is_what_is_answered(client: TestClient, at: Scene) -> None:
    root = parse(
        client.get(f"/api/v2/entries/{MARIA}?IncludeStatistics=true", headers=lookup_headers(at)).content
    )
    assert find(root, "Statistics") is None, "of the first version"
    assert find(root, "OwnerStatistics/Spi") is not None
    assert client.get(f"/api/v1/entries/{MARIA}", headers=lookup_headers(at)).status_code == 404
