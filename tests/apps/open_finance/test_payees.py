"""Paying a Pix key from another bank: looked up once, as the user, before the other bank hears of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from apps.kit.outbound import Answer, Call, NoAnswer
from apps.kit.problems import CODES
from tests.apps.open_finance.stage import CPFS, DICT_URL, IPE, Stage, staged
from tests.apps.serving import ANA, BETO, problem, signed_in

KEY = "beto@example.com"
BETO_HERE = {
    "key": KEY,
    "key_type": "EMAIL",
    "participant": "99999010",
    "branch": "0001",
    "number": "1234567",
    "account_type": "CACC",
    "owner_type": "NATURAL_PERSON",
    "tax_id": CPFS[BETO],
    "name": "Beto Lima",
    "account_id": "0b6f0a3e-64ef-4c3a-9d47-3b8f8b0d7f02",
}


@dataclass
class DictService:
    """Plays the DICT service; `status` and `document` are what it says."""

    status: int = 200
    document: Any = field(default_factory=lambda: BETO_HERE)
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    calls: list[Call] = field(default_factory=list)

    def send(self, call: Call, seconds: float) -> Answer:
        assert call.url == f"{DICT_URL}/internal/keys/lookup"
        assert 0 < seconds <= 6, "a user waits for this"
        self.calls.append(call)
        if self.silent:
            raise NoAnswer("timeout")
        return Answer(self.status, self.headers, json.dumps(self.document).encode())

    def refuse(self, code: str, **headers: str) -> None:
        self.status, self.headers = CODES[code][0], headers
        self.document = {"code": code, "detail": "As it is."}

    @property
    def asked(self) -> dict[str, Any]:
        """The body of the only call."""
        (call,) = self.calls
        found: dict[str, Any] = json.loads(call.body or b"")
        return found


@pytest.fixture
def keys() -> DictService:
    return DictService()


@pytest.fixture
def stage(keys: DictService) -> Iterator[Stage]:
    with staged(keys.send, fresh_seconds=0, bank_deadline_ms=30_000) as made:
        yield made


def wish(link: dict[str, Any], **more: Any) -> dict[str, Any]:
    from_account = link["accounts"][0]["account_id"]
    return {"from_account": from_account, "to": {"key": KEY}, "amount_cents": 5_000} | more


def test_a_key_is_looked_up_by_us_and_paid_as_a_key(stage: Stage, keys: DictService) -> None:
    initiation = stage.post("/payment-initiations", wish(stage.linked())).json()
    assert keys.asked["key"] == KEY
    assert keys.asked["end_to_end_id"].startswith("E99999010"), "the look-up is ours"
    assert keys.calls[0].headers["Authorization"] == signed_in(ANA)["Authorization"]
    assert initiation["end_to_end_id"].startswith("E99999101"), "the payment is the other bank's"
    assert initiation["payee"] == "Beto Lima"
    order = stage.consent_of().order
    assert order["creditor"] == {
        "personType": "PESSOA_NATURAL",
        "cpfCnpj": CPFS[BETO],
        "name": "Beto Lima",
    }
    assert order["payment"]["details"] == {
        "localInstrument": "DICT",
        "proxy": KEY,
        "creditorAccount": {
            "ispb": "99999010",
            "issuer": "0001",
            "number": "1234567",
            "accountType": "CACC",
        },
    }
    location = stage.browser.agree(initiation["authorisation_url"], CPFS[ANA], first_only=True)
    assert stage.come_back(location).json()["status"] == "PROCESSING"
    (payment,) = stage.bank(IPE).payments.values()
    assert payment.order["endToEndId"] == initiation["end_to_end_id"]
    assert payment.order["proxy"] == KEY


def test_a_replayed_key_looks_nothing_up_again(stage: Stage, keys: DictService) -> None:
    asked = wish(stage.linked())
    first = stage.post("/payment-initiations", asked, key="once")
    keys.document = BETO_HERE | {"name": "Somebody Else"}
    again = stage.post("/payment-initiations", asked, key="once")
    assert (again.status_code, again.json()) == (201, first.json())
    assert len(keys.calls) == 1
    other = stage.post("/payment-initiations", asked | {"to": {"key": "+5511987654321"}}, key="once")
    problem(other, 422, "idempotency_key_reused", final=True)


def test_a_payment_of_another_day_is_looked_up_as_of_today(stage: Stage, keys: DictService) -> None:
    later = date(2026, 12, 24).isoformat()
    initiation = stage.post("/payment-initiations", wish(stage.linked(), scheduled_for=later)).json()
    assert initiation["end_to_end_id"][9:21] == "202612241500"
    assert keys.asked["end_to_end_id"][9:17] == "20261125", "of today"


def test_an_account_without_a_branch_is_paid_without_one(stage: Stage, keys: DictService) -> None:
    keys.document = BETO_HERE | {"branch": None, "account_type": "TRAN"}
    assert stage.post("/payment-initiations", wish(stage.linked())).status_code == 201
    account = stage.consent_of().order["payment"]["details"]["creditorAccount"]
    assert account == {"ispb": "99999010", "number": "1234567", "accountType": "TRAN"}


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ("key_not_found", 422, "payee_not_found"),
        ("invalid_key", 422, "invalid_key"),
        ("account_not_found", 404, "account_not_found"),
        ("key_refused", 409, "key_refused"),
        ("lookup_limited", 429, "lookup_limited"),
        ("dict_bad_answer", 502, "dict_bad_answer"),
        ("dict_unavailable", 503, "dict_unavailable"),
        ("dict_timeout", 504, "dict_timeout"),
        ("unauthenticated", 503, "dict_unavailable"),
        ("invalid_request", 503, "dict_unavailable"),
        ("internal_error", 503, "dict_unavailable"),
    ],
)
def test_a_key_that_leads_nowhere_asks_no_bank(
    stage: Stage, keys: DictService, said: str, status: int, code: str
) -> None:
    link = stage.linked()
    keys.refuse(said, **{"retry-after": "7"})
    answer = stage.post("/payment-initiations", wish(link), key="once")
    problem(answer, status, code)
    if code == "lookup_limited":
        assert answer.headers["retry-after"] == "7"
    assert stage.wire.asked("/payments/") == 0
    keys.status, keys.document = 200, BETO_HERE
    assert stage.post("/payment-initiations", wish(link), key="once").status_code == 201, "the key is free"


@pytest.mark.parametrize(
    "change",
    [
        {"account_type": "SLRY"},
        {"participant": "ABCDEFGH"},
        {"number": "12A"},
        {"tax_id": "1"},
        {"number": None},
    ],
    ids=str,
)
def test_an_account_that_payments_cannot_name_is_not_paid(
    stage: Stage, keys: DictService, change: dict[str, Any]
) -> None:
    link = stage.linked()
    keys.document = BETO_HERE | change
    problem(stage.post("/payment-initiations", wish(link)), 422, "payee_not_found")
    assert stage.wire.asked("/payments/") == 0


@pytest.mark.parametrize("document", [[], {}, "no", None], ids=str)
def test_an_error_that_says_nothing_is_no_answer(stage: Stage, keys: DictService, document: Any) -> None:
    link = stage.linked()
    keys.status, keys.document = 502, document
    problem(stage.post("/payment-initiations", wish(link)), 503, "dict_unavailable")


def test_without_the_dict_service_bank_data_can_still_be_paid(stage: Stage, keys: DictService) -> None:
    link = stage.linked()
    keys.silent = True
    problem(stage.post("/payment-initiations", wish(link)), 503, "dict_unavailable")
    here = {name: BETO_HERE[name] for name in ("branch", "number", "account_type", "tax_id", "name")}
    bank = {"to": {"bank": here | {"ispb": "99999010"}}}
    assert stage.post("/payment-initiations", wish(link, **bank)).status_code == 201
