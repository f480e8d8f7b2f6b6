"""One bank: its people, its consents and payments, its authorisation server, and what goes wrong at it."""

import hashlib
import json
import re
import secrets
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.simulators.other_bank import consents, payments
from apps.simulators.other_bank.answers import Refused
from apps.simulators.other_bank.authorisation import (
    AuthorisationRequest,
    AuthorisationServer,
    Client,
    OAuthRefused,
    Token,
)
from apps.simulators.other_bank.brands import Brand
from apps.simulators.other_bank.clock import Clock
from apps.simulators.other_bank.consents import Consent, Rejection
from apps.simulators.other_bank.customers import Account, Customer, Movement, seeded
from apps.simulators.other_bank.faults import Faults
from apps.simulators.other_bank.payments import Payment
from apps.simulators.other_bank.signatures import BadSignature, SigningKey, verified

MONTHLY_CALLS: Mapping[str, int] = {
    "balances": 420,
    "transactions-current": 240,
    "transactions": 4,
    "account": 4,
    "accounts": 120,
    "resources": 120,
    "overdraft-limits": 420,
}
"""The published limits, per consent and month. Which endpoint has which is read from a list that is cut off
in public (facts, section 5), so those of accounts and resources are the stricter reading's neighbour."""

SIGNED_SECONDS = 60

Settled = Callable[[Payment], bool | None]
Settle = Callable[[Payment], None]


@dataclass
class Visit:
    """A browser on the authorisation page; `cpf` once it has signed in."""

    asked: AuthorisationRequest
    consent: Consent
    cpf: str | None = None


class Bank:
    """A bank. `settled` says whether a payment's money has left for good, and is asked without any lock held;
    `settle` credits a payee who is here."""

    def __init__(self, brand: Brand, clock: Clock, key: SigningKey, settled: Settled, settle: Settle) -> None:
        self.brand = brand
        self.clock = clock
        self.faults = Faults()
        self.stranger: SigningKey | None = None
        self.lock = threading.RLock()
        self.oauth = AuthorisationServer(clock, key)
        self.customers = {each.cpf: each for each in seeded(brand, clock.now())}
        self.consents: dict[str, Consent] = {}
        self.payments: dict[str, Payment] = {}
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self.visits: dict[str, Visit] = {}
        self._settled = settled
        self._settle = settle
        self._seen: set[str] = set()
        self._page_secret = secrets.token_hex()
        self._answered: dict[tuple[str, str], tuple[str, str]] = {}

    @property
    def key(self) -> SigningKey:
        """What answers are signed with; when the bank lies, a key that nobody publishes."""
        if not self.faults.lies("foreign_key"):
            return self.oauth.key
        if self.stranger is None:
            self.stranger = SigningKey(self.oauth.key.kid)
        return self.stranger

    # --- who asks ---

    def bearer(self, header: str | None, *scopes: str) -> Token:
        """The token of a request, if it allows one of `scopes`. Raises `Refused`."""
        scheme, _, text = (header or "").partition(" ")
        token = self.oauth.token(text.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise Refused(401, "NAO_AUTORIZADO", "The access token is not valid, or not any more.")
        if token.scopes.isdisjoint(scopes):
            raise Refused(403, "NAO_PERMITIDO", "The access token is for something else.")
        return token

    def page_key(self, path: str) -> str:
        """What proves that a first page of this list was asked for."""
        return hashlib.sha256(f"{self._page_secret} {path}".encode()).hexdigest()

    def reader(
        self, header: str | None, permission: str, endpoint: str, *, leads_on: bool = False
    ) -> Consent:
        """The authorised data consent behind a request to read, within its limits. What `leads_on` from a
        page that was counted is not. Raises `Refused`."""
        consent = self._authorised(self.bearer(header, "accounts"))
        if permission not in consent.permissions:
            raise Refused(403, "NAO_PERMITIDO", f"The consent does not cover {permission}.")
        if leads_on:
            return consent
        month = self.clock.now().strftime("%Y%m")
        place = (consent.consent_id, endpoint, month)
        self.calls[place] += 1
        if self.calls[place] > MONTHLY_CALLS[endpoint.partition(" ")[0]]:
            raise Refused(429, "LIMITE_OPERACIONAL_EXCEDIDO", f"{endpoint} was asked too often this month.")
        return consent

    def _authorised(self, token: Token) -> Consent:
        consent = self.consent(token.consent_id or "", token.client_id)
        if consent.status != "AUTHORISED":
            raise Refused(401, "CONSENTIMENTO_INVALIDO", "The consent has ended.")
        return consent

    def consent(self, consent_id: str, client_id: str) -> Consent:
        """A client's consent as it stands now. Raises `Refused` 404."""
        found = self.consents.get(consent_id)
        if found is None or found.client_id != client_id:
            raise Refused(404, "NAO_ENCONTRADO", "There is no such consent.")
        self.age(found)
        return found

    def age(self, consent: Consent) -> None:
        """Lets time do to a consent what it does."""
        rules = consents if consent.kind == "data" else payments
        rules.age(consent, self.clock.now())
        if consent.status == "REJECTED":
            self.oauth.forget(consent.consent_id)

    # --- signed messages ---

    def signed_request(self, message: bytes, content_type: str, client_id: str, audience: str) -> Any:
        """`data` of a request that the client signed for exactly this URL. Raises `Refused`."""
        if content_type.partition(";")[0].strip().lower() != "application/jwt":
            raise Refused(415, "PARAMETRO_INVALIDO", "Send application/jwt.")
        client = self.oauth.clients[client_id]
        try:
            claims = verified(message.decode("ascii"), client.jwks)
        except (BadSignature, UnicodeDecodeError) as error:
            raise Refused(400, "BAD_SIGNATURE", "The body is not signed by this client.") from error
        now = self.clock.now().timestamp()
        good = (
            claims.get("aud") == audience
            and claims.get("iss") == client.organisation_id
            and isinstance(claims.get("iat"), int)
            and abs(now - claims["iat"]) <= SIGNED_SECONDS
            and isinstance(claims.get("jti"), str)
            and claims["jti"] not in self._seen
        )
        if not good:
            raise Refused(403, "BAD_SIGNATURE", "The message is not for here, too old, or a copy.")
        self._seen.add(claims["jti"])
        return claims.get("data")

    def signed_answer(self, document: Mapping[str, Any], client_id: str) -> str:
        """An answer for one client alone."""
        return self.key.sign(
            {
                "iss": self.brand.organisation_id,
                "aud": self.oauth.clients[client_id].organisation_id,
                "iat": int(self.clock.now().timestamp()),
                "jti": str(uuid.uuid4()),
                **document,
            }
        )

    def once(self, client_id: str, key: str | None, data: object, do: Callable[[], str]) -> str:
        """What `do` makes, or made the first time under this idempotency key. Raises `Refused`."""
        if key is None or not re.fullmatch(r"\S(.{0,38}\S)?", key):
            raise Refused(400, "PARAMETRO_NAO_INFORMADO", "x-idempotency-key has 1 to 40 characters.")
        asked = json.dumps(data, sort_keys=True)
        with self.lock:
            before = self._answered.get((client_id, key))
            if before is not None:
                if before[0] != asked:
                    raise Refused(422, "ERRO_IDEMPOTENCIA", "The key belongs to another request.")
                return before[1]
            made = do()
            self._answered[client_id, key] = (asked, made)
            return made

    # --- the authorisation page ---

    def arrive(self, asked: AuthorisationRequest) -> str:
        """A browser comes with a request; gives the visit's id. Raises `OAuthRefused`."""
        consent = self.consents.get(asked.consent_id or "")
        if consent is None or consent.client_id != asked.client.client_id:
            raise OAuthRefused("invalid_scope", "there is no such consent")
        if ("payments" if consent.kind == "payment" else "accounts") not in asked.scope.split():
            raise OAuthRefused("invalid_scope", "the scope does not fit the consent")
        visit = secrets.token_urlsafe(24)
        self.visits[visit] = Visit(asked, consent)
        return visit

    def visit(self, visit: str) -> Visit:
        """A browser that came before. Raises `OAuthRefused`."""
        found = self.visits.get(visit)
        if found is None or self.clock.now() > found.asked.expires_at:
            raise OAuthRefused("access_denied", "Start again where you came from.")
        self.age(found.consent)
        return found

    def signs_in(self, visit: Visit, cpf: str, password: str) -> Customer | None:
        """The customer, if the password is theirs."""
        customer = self.customers.get(re.sub(r"\D", "", cpf))
        if customer is None or not secrets.compare_digest(customer.password.encode(), password.encode()):
            return None
        visit.cpf = customer.cpf
        return customer

    def refuse(self, consent: Consent, by: str, code: str) -> None:
        """Ends a consent that was waiting."""
        if consent.status == "AWAITING_AUTHORISATION":
            rejection = Rejection("USER" if by == "USER" else "ASPSP", code)
            consent.move("REJECTED", self.clock.now(), rejection)

    def authorise(self, visit: Visit, chosen: list[str]) -> str:
        """The customer agrees; gives the code. Raises `Refused` when these accounts cannot be."""
        assert visit.cpf is not None, "only who has signed in can agree"
        own = {each.account_id for each in self.customers[visit.cpf].accounts}
        if not chosen or not own.issuperset(chosen) or (visit.consent.kind == "payment" and len(chosen) > 1):
            raise Refused(422, "PARAMETRO_INVALIDO", "Choose among your accounts.")
        debtor = visit.consent.order.get("debtorAccount")
        if debtor is not None and not self._is(debtor, self.owned(visit.cpf, chosen[0])):
            raise Refused(422, "PARAMETRO_INVALIDO", "The payment was asked for from another account.")
        visit.consent.accounts = chosen
        visit.consent.move("AUTHORISED", self.clock.now())
        return self.oauth.code(visit.asked, visit.cpf)

    # --- accounts and payments ---

    def account(self, consent: Consent, account_id: str) -> Account:
        """An account that a consent covers. Raises `Refused` 404."""
        if account_id not in consent.accounts:
            raise Refused(404, "NAO_ENCONTRADO", "The consent covers no such account.")
        return self.owned(consent.cpf, account_id)

    def owned(self, cpf: str, account_id: str) -> Account:
        """A customer's account. Raises `Refused` 404."""
        for each in self.customers[cpf].accounts:
            if each.account_id == account_id:
                return each
        raise Refused(404, "NAO_ENCONTRADO", "There is no such account.")

    def listed(self, consent: Consent) -> list[Account]:
        """The accounts that a consent covers; when the bank lies, somebody else's."""
        owner = consent.cpf
        if self.faults.lies("foreign_accounts"):
            owner = next(cpf for cpf in self.customers if cpf != consent.cpf)
            return self.customers[owner].accounts
        return [each for each in self.customers[owner].accounts if each.account_id in consent.accounts]

    def pay(self, token: Token, order: object) -> Payment:
        """Takes an order under its consent, which it consumes. Raises `Refused`."""
        consent = self.consent(token.consent_id or "", token.client_id)
        if consent.status == "AWAITING_AUTHORISATION":
            raise Refused(422, "CONSENTIMENTO_PENDENTE_AUTORIZACAO", "The customer has not agreed yet.")
        if consent.status != "AUTHORISED":
            raise Refused(422, "CONSENTIMENTO_INVALIDO", "The consent has ended or was used.")
        if not isinstance(order, list) or len(order) != 1 or not isinstance(order[0], dict):
            raise Refused(422, "PARAMETRO_INVALIDO", "data is a list of one payment.")
        if order[0].get("consentId") not in {None, consent.consent_id}:
            raise Refused(422, "PAGAMENTO_DIVERGENTE_CONSENTIMENTO", "The payment names another consent.")
        payer = self.account(consent, consent.accounts[0])
        if self._is(order[0].get("creditorAccount"), payer):
            raise Refused(422, "DETALHE_PAGAMENTO_INVALIDO", "Payer and payee are one account.")
        customer = self.customers[consent.cpf]
        payment = payments.ordered(order[0], consent, customer, payer, self.clock.now())
        consent.move("CONSUMED", self.clock.now())
        self.payments[payment.payment_id] = payment
        return payment

    def _is(self, named: object, account: Account) -> bool:
        """Whether bank data name an account of this bank."""
        own = {"ispb": self.brand.ispb, "number": account.number + account.check_digit}
        return isinstance(named, dict) and own.items() <= named.items()

    def payment(self, payment_id: str, client_id: str) -> Payment:
        """A client's payment as it stands now. Raises `Refused` 404."""
        found = self.payments.get(payment_id)
        if found is None or found.consent.client_id != client_id:
            raise Refused(404, "NAO_ENCONTRADO", "There is no such payment.")
        self.progress(found)
        return found

    def progress(self, payment: Payment) -> None:
        """Lets time do to a payment what it does."""
        with self.lock:
            due = payments.progress(
                payment,
                self.brand,
                self.clock.now(),
                stuck=self.faults.lies("stuck"),
                refused=self.faults.lies("refuse_payments"),
            )
        settled = self._settled(payment) if due else None
        if settled is None:
            return
        with self.lock:
            if payment.status in payments.FINAL:
                return
            payments.conclude(payment, self.clock.now(), settled=settled)
            if settled:
                self._settle(payment)

    def holder(self, number: str) -> tuple[Customer, Account] | None:
        """Who has the account with this number, with or without its check digit."""
        for customer in self.customers.values():
            for account in customer.accounts:
                if number in {account.number, account.number + account.check_digit}:
                    return customer, account
        return None

    def credit(self, number: str, movement: Movement) -> bool:
        """Books an incoming payment on the account with this number, once; gives whether there is one."""
        found = self.holder(number)
        if found is None:
            return False
        with self.lock:
            known = {each.transaction_id for each in found[1].movements if each.credit}
            if movement.transaction_id not in known:
                found[1].book(movement)
        return True

    def client_names(self, client: Client) -> str:
        """What the authorisation page calls a client."""
        return client.name or client.client_id


def incoming(payment: Payment, now: datetime) -> Movement:
    """A settled payment as its payee sees it."""
    return Movement(
        payment.order["endToEndId"],
        True,
        "Pix recebido",
        "PIX",
        payment.amount_cents,
        now,
        payment.consent.cpf,
    )
