"""Whatever is sent, the bank answers as its own description says: no server error, nothing undocumented.

Schemathesis makes the requests from the merged OpenAPI document, good ones and bad ones. Good ones are
steered to accounts that exist, so that they reach the rules; bad ones must be refused.
"""

import uuid
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import positive_data_acceptance

from apps.gateway.routes import ROUTES, Route
from environments.local.demo import cpf
from tests.environment import Environment, open_account
from tests.journeys import other_banks
from tests.journeys.conftest import Person
from tests.journeys.test_transfer import pay, settled

EXAMPLES = 20
CALLBACK = "/links/callback"
"""Takes what a bank's page made up and nothing else: a made-up visit proves nothing, however well formed."""
ACCEPTED = {200, 201, 204}
UNDECIDED = {502, 503, 504}
"""Documented, but where nothing is broken on purpose a request must be decided."""
SOMEBODYS_PHONE = "+5511987650001"
"""At another bank; see `apps.simulators.bacen`."""
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


@dataclass(frozen=True)
class Existing:
    """What exists, for requests that are to be accepted."""

    bank: Environment
    authorization: str
    account_id: str
    tax_id: str
    payee: str
    transfer_id: str
    empty_account: str
    incoming: str
    person: Person
    random_key: str
    link: dict[str, Any]

    def steer(self, case: Case[Any]) -> None:
        """Puts what exists where the description can only say of what shape it is."""
        for name in ("account_id", "transfer_id"):
            if name in case.path_parameters:
                case.path_parameters[name] = getattr(self, name)
        if case.method == "DELETE" and "account_id" in case.path_parameters:
            case.path_parameters["account_id"] = self.empty_account
        if isinstance(case.body, dict) and "reason" in case.body:
            case.path_parameters["transfer_id"] = self.incoming
            case.body |= {"amount_cents": 1}
        if case.query:
            case.query.pop("cursor", None)
            # A moment that is neither to come nor before the account.
            case.query.pop("at", None)
            if "account" in case.query:
                case.query["account"] = self.account_id
        if isinstance(case.body, dict) and "tax_id" in case.body:
            case.body |= {"tax_id": self.tax_id, "name": "Ana Souza"}
        if isinstance(case.body, dict) and "from_account" in case.body:
            case.body |= {"from_account": self.account_id, "to": {"account": self.payee}, "amount_cents": 1}
        if case.headers and "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())
        self._steer_keys(case)
        self._steer_links(case)
        self._steer_consents(case)

    def _steer_consents(self, case: Case[Any]) -> None:
        """The same for banks that wish to read here. Each asks anew, since an answer is for good."""
        if "consent_request_id" in case.path_parameters:
            asked = other_banks.Reading.asked(self.bank, "aroeira", self.person)
            case.path_parameters["consent_request_id"] = asked.request_id()
            if case.method == "POST":
                case.body = {"decision": "approve", "accounts": [self.account_id]}
        if "consent_id" in case.path_parameters:
            other_banks.Reading.asked(self.bank, "aroeira", self.person).agreed_by(self.person)
            given = self.person.api.get("/consents").body["consents"]
            standing = next(each for each in given if each["status"] == "AUTHORISED")
            case.path_parameters["consent_id"] = standing["consent_id"]

    def _steer_links(self, case: Case[Any]) -> None:
        """The same for other banks. What can be done once only is done to one that was made for it."""
        if case.method == "POST" and case.path == "/payment-initiations":
            case.body = other_banks.paying(self.link, 1)
        if isinstance(case.body, dict) and "bank" in case.body:
            case.body = {"bank": self.link["bank"]}
        if "link_id" in case.path_parameters:
            case.path_parameters["link_id"] = self.link["link_id"]
            if case.method == "DELETE":
                made = self.person.api.post("/links", {"bank": self.link["bank"]})
                case.path_parameters["link_id"] = made.body["link_id"]
        if "initiation_id" in case.path_parameters:
            made = self.person.api.post("/payment-initiations", other_banks.paying(self.link, 1))
            case.path_parameters["initiation_id"] = made.body["payment_initiation_id"]

    @property
    def charge(self) -> dict[str, Any]:
        """What makes a QR code."""
        return {"kind": "dynamic", "account_id": self.account_id, "amount_cents": 100}

    def _steer_keys(self, case: Case[Any]) -> None:
        """The same for limits, and for Pix keys: an account has five at most, so what makes one makes the
        same again."""
        claim = {"type": "OWNERSHIP", "key": SOMEBODYS_PHONE, "account_id": self.account_id}
        if isinstance(case.body, dict) and "key_type" in case.body:
            case.body = {"key_type": "EVP", "account_id": self.account_id}
            case.headers["Idempotency-Key"] = "the-key"
        elif isinstance(case.body, dict) and set(case.body) == {"key"}:
            case.body["key"] = self.random_key
        elif isinstance(case.body, dict) and "type" in case.body:
            case.body = {**claim}
            case.headers["Idempotency-Key"] = "the-claim"
        elif case.path == "/limits" and case.method == "PUT":
            case.body = {"account_id": self.account_id, "legal_cents": 400_000}
        elif isinstance(case.body, dict) and "kind" in case.body:
            case.body = {**self.charge}
        elif isinstance(case.body, dict) and set(case.body) == {"qr_code"}:
            case.body["qr_code"] = self.person.api.post("/qr-codes", self.charge, "code").body["qr_code"]
        if "qr_code_id" in case.path_parameters:
            made = self.person.api.post("/qr-codes", self.charge, "code")
            case.path_parameters["qr_code_id"] = made.body["qr_code_id"]
        if "key_id" in case.path_parameters:
            made = self.person.api.post("/keys", {"key_type": "EVP", "account_id": self.account_id})
            case.path_parameters["key_id"] = made.body["key_id"]
        if "claim_id" in case.path_parameters:
            claimed = self.person.api.post("/keys/claims", claim, "the-claim")
            case.path_parameters |= {"claim_id": claimed.body["claim_id"], "action": "cancel"}


@pytest.fixture(scope="module")
def existing(bank: Environment, bruno: Person) -> Existing:
    """The account of somebody who opens many more, and a transfer."""
    api = bank.user("sofia@example.com")
    sofia = Person(api, open_account(api, cpf(), "Sofia Reis"))
    other_banks.made_customer(bank, sofia, "Sofia Reis")
    answer = pay(sofia, bruno.account_id, 1)
    second = api.post(
        "/accounts", {"name": "Sofia", "tax_id": sofia.account["tax_id"], "account_type": "SVGS"}
    )
    incoming = settled(bruno, pay(bruno, sofia.account_id, 500))
    key = api.post("/keys", {"key_type": "EVP", "account_id": sofia.account_id})
    assert key.status == 201, key.text
    return Existing(
        bank=bank,
        authorization=str(api._session.headers["Authorization"]),
        account_id=sofia.account_id,
        tax_id=str(sofia.account["tax_id"]),
        payee=bruno.account_id,
        transfer_id=str(answer.body["transfer_id"]),
        empty_account=str(second.body["account_id"]),
        incoming=str(incoming["transfer_id"]),
        person=sofia,
        random_key=str(key.body["key"]),
        link=other_banks.linked(sofia),
    )


@pytest.fixture(scope="module")
def described(bank: Environment) -> Any:
    """The public API as it describes itself."""
    return schemathesis.openapi.from_url(bank.description["gateway_url"] + "/openapi.json")


@pytest.mark.parametrize("mode", [POSITIVE, NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_every_answer_is_documented_and_none_is_a_server_error(
    described: Any, existing: Existing, route: Route, mode: GenerationMode
) -> None:
    requests = described[route.template][route.method].as_strategy(mode)
    accepted = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=requests, steered=st.booleans())
    def send(case: Case[Any], steered: bool) -> None:
        nonlocal accepted
        good = mode is POSITIVE and steered
        if good:
            existing.steer(case)
        # What the description cannot say (check digits, whose cursor it is) only steered requests have right.
        excluded = [] if good and route.template != CALLBACK else [positive_data_acceptance]
        answer = case.call_and_validate(
            headers={"Authorization": existing.authorization}, excluded_checks=excluded
        )
        assert answer.status_code not in UNDECIDED, answer.text
        accepted += answer.status_code in ACCEPTED
        assert not good or answer.status_code in ACCEPTED or route.template == CALLBACK, answer.text

    send()
    assert accepted or mode is NEGATIVE or route.template == CALLBACK, "no request reached the rules"
