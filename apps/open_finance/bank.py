"""One bank as we use it: consents, accounts and payments by its Open Finance APIs."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from apps.kit.outbound import Answer, Call, Send
from apps.open_finance import documents
from apps.open_finance.calls import BankRefused, Patience, document, fapi
from apps.open_finance.consent import IncompletePermissions, complete
from apps.open_finance.documents import Figures, Invalid, Movement
from apps.open_finance.institutions import Institution
from apps.open_finance.keys import Ourselves
from apps.open_finance.oauth import OAuth

PAGE_SIZE = 1000
MOST_PAGES = 40
SIGNED_SECONDS = 120
ENDED_BEFORE = (422, "CONSENTIMENTO_EM_STATUS_REJEITADO")
"""What a bank answers to who ends a consent a second time (consents 3.0)."""
LONGEST_KEY = 2048

T = TypeVar("T")
Count = Callable[[], None]
"""Called before each call that counts against a published limit; raises if there may be no more."""


@dataclass(frozen=True)
class Period:
    """The days of a statement, both included, and which of the two endpoints has them."""

    endpoint: Literal["transactions", "transactions-current"]
    since: date
    until: date


class Bank:
    """The APIs of one institution. Calls raise `BankRefused`, `BankSilent` and `documents.Invalid`."""

    def __init__(
        self,
        institution: Institution,
        send: Send,
        us: Ourselves,
        oauth: OAuth,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.institution = institution
        self.oauth = oauth
        self._send = send
        self._us = us
        self._now = now

    # --- consents to read ---

    def ask_for_consent(
        self, cpf: str, permissions: frozenset[str], until: datetime, patience: Patience
    ) -> documents.Consent:
        """A new consent for this person."""
        data = {
            "loggedUser": logged_user(cpf),
            "permissions": sorted(permissions),
            "expirationDateTime": until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        body = json.dumps({"data": data}).encode()
        headers = {"Content-Type": "application/json"}
        call = Call("POST", self._endpoint("consents"), headers, body)
        found = documents.read(documents.Consent, self._own_json("consents", call, patience).get("data"))
        if found.status != "AWAITING_AUTHORISATION":
            raise Invalid("consent")
        check_permissions(found, permissions)
        return found

    def consent(self, consent_id: str, patience: Patience) -> documents.Consent:
        """A consent as the bank has it."""
        call = Call("GET", f"{self._endpoint('consents')}/{quote(consent_id, safe=':')}")
        found = documents.read(documents.Consent, self._own_json("consents", call, patience).get("data"))
        if found.consentId != consent_id:
            raise Invalid("another consent")
        return found

    def revoke(self, consent_id: str, patience: Patience) -> None:
        """Ends a consent; one that has ended is fine too."""
        call = Call("DELETE", f"{self._endpoint('consents')}/{quote(consent_id, safe=':')}")
        try:
            self._own("consents", call, patience)
        except BankRefused as refused:
            if refused.status != 404 and (refused.status, refused.code) != ENDED_BEFORE:
                raise

    # --- what can be read ---

    def resources(self, token: str, count: Count, patience: Patience) -> frozenset[str]:
        """The accounts that the consent covers."""
        pages = self._pages(self._endpoint("resources"), token, count, patience)
        return documents.resources([each for page in pages for each in page])

    def accounts(
        self, token: str, covered: frozenset[str], count: Count, patience: Patience
    ) -> list[documents.Account]:
        """The accounts, none of which may lie outside the consent."""
        pages = self._pages(self._endpoint("accounts"), token, count, patience)
        return documents.accounts([each for page in pages for each in page], covered)

    def balance(self, token: str, account_id: str, patience: Patience) -> Figures:
        """What is on an account."""
        call = Call("GET", f"{self._account(account_id)}/balances")
        return documents.figures(document(fapi(self._send, call, token, patience)).get("data"))

    def transactions(
        self, token: str, account_id: str, asked: Period, count: Count, patience: Patience
    ) -> Iterator[list[Movement]]:
        """A statement, page by page: what has come is good, whatever becomes of the rest."""
        since, until = asked.since.isoformat(), asked.until.isoformat()
        query = urlencode({"fromBookingDate": since, "toBookingDate": until})
        url = f"{self._account(account_id)}/{asked.endpoint}?{query}"
        for page in self._pages(url, token, count, patience):
            yield documents.movements(page)

    # --- payments ---

    def ask_to_pay(self, data: Mapping[str, Any], key: str, patience: Patience) -> documents.Consent:
        """A payment consent, the same one however often it is asked for under this key."""
        url = self._endpoint("payments-consents")
        found = documents.read(documents.Consent, self._own_signed("POST", url, data, patience, key))
        if found.loggedUser != data["loggedUser"] or found.payment != data["payment"]:
            raise Invalid("another payment's consent")
        return found

    def payment_consent(self, consent_id: str, patience: Patience) -> documents.Consent:
        """A payment consent as the bank has it."""
        url = f"{self._endpoint('payments-consents')}/{quote(consent_id, safe=':')}"
        found = documents.read(documents.Consent, self._own_signed("GET", url, None, patience))
        if found.consentId != consent_id:
            raise Invalid("another consent")
        return found

    def pay(self, token: str, order: Mapping[str, Any], key: str, patience: Patience) -> documents.Payment:
        """Orders a payment, once however often it is asked for under this key."""
        found = self._signed(
            "POST", self._endpoint("payments-pix"), token, [dict(order)], patience=patience, key=key
        )
        if not isinstance(found, list) or len(found) != 1:
            raise Invalid("not one payment")
        return self._of(found[0], order)

    def payment(self, payment_id: str, order: Mapping[str, Any], patience: Patience) -> documents.Payment:
        """A payment as the bank has it."""
        url = f"{self._endpoint('payments-pix')}/{quote(payment_id, safe='')}"
        return self._of(self._own_signed("GET", url, None, patience), order)

    def cancel(
        self, payment_id: str, order: Mapping[str, Any], cpf: str, patience: Patience
    ) -> documents.Payment:
        """Cancels a payment that waits."""
        url = f"{self._endpoint('payments-pix')}/{quote(payment_id, safe='')}"
        data = {"status": "CANC", "cancellation": {"cancelledBy": logged_user(cpf)}}
        return self._of(self._own_signed("PATCH", url, data, patience), order)

    def _of(self, content: object, order: Mapping[str, Any]) -> documents.Payment:
        """The payment in an answer, which must be the one that was ordered."""
        found = documents.read(documents.Payment, content)
        agreed = order["payment"]
        same = (
            found.endToEndId == order["endToEndId"]
            and documents.cents(found.payment.amount) == documents.cents(agreed["amount"])
            and found.payment.currency == agreed["currency"]
            and found.creditorAccount == order["creditorAccount"]
        )
        if not same:
            raise Invalid("another payment")
        return found

    # --- how it travels ---

    def _endpoint(self, family: str) -> str:
        try:
            return self.institution.endpoints[family]
        except KeyError:
            raise BankRefused(404, "no_such_api") from None

    def _account(self, account_id: str) -> str:
        return f"{self._endpoint('accounts')}/{quote(account_id, safe='')}"

    def _as_ourselves(self, scope: str, ask: Callable[[str], T], patience: Patience) -> T:
        """What `ask` reads with our own token. One that the bank has forgotten is asked for anew, once."""
        try:
            return ask(self.oauth.own(scope, patience))
        except BankRefused as refused:
            if refused.status != 401:
                raise
        self.oauth.forget_own()
        return ask(self.oauth.own(scope, patience))

    def _own(self, scope: str, call: Call, patience: Patience) -> Answer:
        return self._as_ourselves(scope, lambda token: fapi(self._send, call, token, patience), patience)

    def _own_json(self, scope: str, call: Call, patience: Patience) -> dict[str, Any]:
        return document(self._own(scope, call, patience))

    def _own_signed(
        self, method: str, url: str, data: object, patience: Patience, key: str | None = None
    ) -> Any:
        return self._as_ourselves(
            "payments",
            lambda token: self._signed(method, url, token, data, patience=patience, key=key),
            patience,
        )

    def _pages(self, url: str, token: str, count: Count, patience: Patience) -> Iterator[list[object]]:
        """Every page of a list. The next one is asked for by number: a link could lead anywhere. It counts as
        a call of its own unless the bank gave a key to go on with (accounts 2, `pagination-key`)."""
        key: str | None = None
        for page in range(1, MOST_PAGES + 1):
            if key is None:
                count()
            asked: dict[str, str | int] = {"page": page, "page-size": PAGE_SIZE}
            query = urlencode(asked if key is None else {**asked, "pagination-key": key})
            separator = "&" if "?" in url else "?"
            answer = document(fapi(self._send, Call("GET", f"{url}{separator}{query}"), token, patience))
            data, links = answer.get("data"), answer.get("links")
            if not isinstance(data, list) or not isinstance(links, dict):
                raise Invalid("page")
            yield data
            if not data or not links.get("next"):
                return
            key = _pagination_key(links["next"])
        raise Invalid("a list without an end")

    def _signed(
        self,
        method: str,
        url: str,
        token: str,
        data: object,
        *,
        patience: Patience,
        key: str | None = None,
    ) -> Any:
        """`data` of a signed answer to a signed request, proven to be this bank's, for us, and new."""
        headers = {"Accept": "application/jwt"}
        body = None
        if data is not None:
            claims = {
                "iss": self._us.keys.organisation_id,
                "aud": url,
                "iat": int(self._now()),
                "jti": str(uuid.uuid4()),
                "data": data,
            }
            headers["Content-Type"] = "application/jwt"
            body = self._us.signer.sign(claims).encode()
        if key is not None:
            headers["x-idempotency-key"] = key
        answer = fapi(self._send, Call(method, url, headers, body), token, patience)
        try:
            message = answer.body.decode("ascii")
        except UnicodeDecodeError as error:
            raise Invalid("no signed message") from error
        claims = self.oauth.signed_by_bank(message, patience)
        issued = claims.get("iat")
        good = (
            claims.get("iss") == self.institution.organisation_id
            and claims.get("aud") == self._us.keys.organisation_id
            and isinstance(issued, int)
            and abs(self._now() - issued) <= SIGNED_SECONDS
        )
        if not good:
            raise Invalid("a signed message for somebody else, or from another time")
        return claims.get("data")


def _pagination_key(link: object) -> str | None:
    found = parse_qs(urlsplit(link).query).get("pagination-key") if isinstance(link, str) else None
    return found[0] if found and len(found[0]) <= LONGEST_KEY else None


def check_permissions(found: documents.Consent, asked: frozenset[str]) -> None:
    """A bank may leave out groups that it does not have, but no part of one. Raises `Invalid`."""
    try:
        complete(found.permissions)
    except IncompletePermissions as error:
        raise Invalid("part of a group of permissions") from error
    if not found.permissions <= asked:
        raise Invalid("permissions that nobody asked for")


def logged_user(cpf: str) -> dict[str, Any]:
    """A person as Open Finance names them."""
    return {"document": {"identification": cpf, "rel": "CPF"}}
