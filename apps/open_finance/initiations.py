"""Paying from an account at another bank: consent, the user's yes, the payment, and asking until it is final.

Everything that is sent is made once and kept before it is sent, under one idempotency key, so that a lost
answer is asked for again and never pays twice. Our own ledger is not touched: the initiation is the record.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from apps.open_finance import documents, payment
from apps.open_finance.bank import Bank
from apps.open_finance.banks import Banks
from apps.open_finance.calls import BankRefused, BankSilent, Patience
from apps.open_finance.consent import AUTHORISE_PAYMENT_WITHIN, CONSUME_PAYMENT_WITHIN, Link
from apps.open_finance.documents import Invalid
from apps.open_finance.due import DueLooks
from apps.open_finance.links import CallbackRefused, KeyReused, Links, Returned, accepted
from apps.open_finance.oauth import Authorisation
from apps.open_finance.payment import BRASILIA, FURTHEST_DAYS, MEANING, Creditor, Initiation
from apps.open_finance.store import OpenFinanceStore, Pending
from apps.pix import end_to_end_id

SECONDS = 6.0
LOOK_SECONDS = 3.0
FIRST_LOOK = timedelta(seconds=5)
"""How long after the user's yes the follower looks for the first time, at the earliest."""
KEEP_TOKENS = timedelta(days=1)
"""An order can be sent for an hour; what became of it may be asked with the same order a little longer."""
SCOPE = "openid consent:{} payments"
_INITIATIONS = uuid.UUID("6d1f0a52-8a0b-5d6e-9c7a-30a1c7a9b403")

_log = logging.getLogger(__name__)


class BadDay(Exception):  # noqa: N818
    """A payment is scheduled for a later day, within two years."""


class NotCancellable(Exception):  # noqa: N818
    """It is too late to cancel, or there is nothing to cancel yet."""


@dataclass(frozen=True)
class Wish:
    """What a user asks for. `to` is whom they named; `find` says who that is, looked up under an end-to-end
    id, and is asked only for what is new."""

    owner: str
    key: str
    account_id: str
    to: Mapping[str, Any]
    find: Callable[[str], Creditor]
    amount_cents: int
    description: str | None
    scheduled_for: date | None

    @property
    def initiation_id(self) -> str:
        """The id that this idempotency key gives the initiation, so that it is its own record."""
        return str(uuid.uuid5(_INITIATIONS, f"{self.owner}\npayment-initiations\n{self.key}"))

    @property
    def request_hash(self) -> str:
        """Tells a replay from another request under the same key."""
        return payment.request_hash(
            self.account_id, self.to, self.amount_cents, self.description, self.scheduled_for
        )


class Initiations:
    """Payments from linked accounts. `cnpj` is ours, `now` the time in UTC."""

    def __init__(
        self,
        store: OpenFinanceStore,
        due: DueLooks,
        banks: Banks,
        links: Links,
        *,
        cnpj: str,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._due = due
        self._banks = banks
        self._links = links
        self._cnpj = cnpj
        self._ispb = cnpj[:8]
        self._now = now

    def start(self, wish: Wish, link: Link) -> tuple[Initiation, bool]:
        """A new initiation that waits for its user, or the one that this key has made; and whether it has.

        Raises `KeyReused`, `BadDay`, `UnknownCustomer`, what `wish.find` raises, and what banks raise.
        """
        found = self._store.initiation(wish.initiation_id)
        if found is None:
            found = self._recorded(wish, link)
            self._store.add_initiation(found)
            found = self._store.initiation(wish.initiation_id) or found
        if found.request_hash != wish.request_hash:
            raise KeyReused
        replayed = found.consent_id is not None
        now = self._now()
        if replayed or found.at(now).final:
            return found.at(now), replayed
        return self._consented(found), False

    def finish(self, initiation_id: str, asked: Authorisation, returned: Returned) -> Initiation:
        """The initiation after its user came back, paid if they said yes. Raises `CallbackRefused`."""
        found = self._store.initiation(initiation_id)
        if found is None or found.at(self._now()).status != "AWAITING_AUTHORISATION":
            raise CallbackRefused("the payment does not wait")
        bank = self._banks.find(found.bank_id)
        patience = Patience.of(SECONDS)
        try:
            tokens = bank.oauth.exchange(accepted(returned, bank), asked, found.cpf, patience)
        except (BankRefused, BankSilent, Invalid, CallbackRefused) as error:
            reason = "access_denied" if returned.error else type(error).__name__
            self._store.change_initiation(replace(found, status="REJECTED", reason=reason), was=found)
            raise
        now = self._now()
        self._store.keep_tokens(initiation_id, tokens, now + KEEP_TOKENS)
        agreed = replace(found, status="PROCESSING", authorised_at=now, authorisation_url=None)
        # First, so that no yes is forgotten, whatever happens to this process next.
        self._due.plan(agreed, now + FIRST_LOOK)
        if not self._store.change_initiation(agreed, was=found):
            raise CallbackRefused("the payment does not wait any more")
        try:
            return self._looked_at(agreed, bank, patience)
        except (BankRefused, BankSilent, Invalid) as error:
            # It may stand. Whoever looks next asks again with the same key.
            _log.warning("what became of an order is not known", extra={"error": type(error).__name__})
            return agreed

    def of(self, owner: str) -> list[Initiation]:
        """Somebody's initiations as last seen, oldest first."""
        return [each.at(self._now()) for each in self._store.initiations_of(owner)]

    def stored(self, initiation_id: str) -> Initiation | None:
        """An initiation as last seen."""
        found = self._store.initiation(initiation_id)
        return found.at(self._now()) if found is not None else None

    def look(self, initiation: Initiation) -> Initiation:
        """An authorised initiation as its bank has it now. Raises what banks raise."""
        return self._looked_at(initiation, self._banks.find(initiation.bank_id), Patience.of(LOOK_SECONDS))

    def owned(self, owner: str, initiation_id: str) -> Initiation | None:
        """One of somebody's initiations, as its bank has it now if the bank says."""
        found = self.stored(initiation_id)
        if found is None or found.owner != owner:
            return None
        if found.final or found.authorised_at is None:
            return found
        try:
            return self.look(found)
        except (BankRefused, BankSilent, Invalid) as error:
            _log.warning("a payment could not be looked at", extra={"error": type(error).__name__})
            return found

    def cancel(self, initiation: Initiation) -> Initiation:
        """Cancels a payment that waits at its bank. Raises `NotCancellable`, and what banks raise."""
        if initiation.status == "AWAITING_AUTHORISATION":
            # The bank forgets the consent in five minutes; without the state nobody can use it meanwhile.
            ended = replace(
                initiation, status="CANCELLED", reason="cancelled_by_user", authorisation_url=None
            )
            if self._store.change_initiation(ended, was=initiation):
                return ended
            raise NotCancellable
        if initiation.bank_status not in payment.CANCELLABLE or initiation.payment_id is None:
            raise NotCancellable
        bank = self._banks.find(initiation.bank_id)
        order = initiation.order(self._cnpj)
        try:
            found = bank.cancel(initiation.payment_id, order, initiation.cpf, Patience.of(SECONDS))
        except BankRefused as refused:
            if refused.code == "PAGAMENTO_NAO_PERMITE_CANCELAMENTO":
                raise NotCancellable from refused
            raise
        return self._kept(initiation, found)

    def _recorded(self, wish: Wish, link: Link) -> Initiation:
        """The record, with all that will be sent."""
        now = self._now()
        today = now.astimezone(BRASILIA).date()
        planned = wish.scheduled_for
        if planned is not None and not today < planned <= today + timedelta(days=FURTHEST_DAYS):
            raise BadDay
        cpf = self._links.cpf(wish.owner)
        bank = self._banks.find(link.bank_id)
        account = next(each for each in link.accounts if each.account_id == wish.account_id)
        # The look-up is ours and has an id of ours; the payment is the bank's, which looks up for itself.
        creditor = wish.find(end_to_end_id.new(self._ispb, now))
        carried_at = now if planned is None else payment.carried_out(planned)
        request = payment.consent_request(cpf, creditor, wish.amount_cents, today, planned)
        return Initiation(
            initiation_id=wish.initiation_id,
            owner=wish.owner,
            cpf=cpf,
            link_id=link.link_id,
            account_id=wish.account_id,
            bank_id=link.bank_id,
            institution=link.institution,
            status="AWAITING_AUTHORISATION",
            amount_cents=wish.amount_cents,
            creditor=creditor,
            description=wish.description,
            scheduled_for=planned,
            created_at=now,
            request_hash=wish.request_hash,
            # A Pix that comes under our own ISPB is refused here: nobody else makes our ids.
            end_to_end_id=end_to_end_id.new(bank.institution.ispb, carried_at),
            consent_request=payment.with_debtor(request, account, bank.institution.ispb),
        )

    def _consented(self, initiation: Initiation) -> Initiation:
        """With a consent at the bank, and the address where the user says yes."""
        bank = self._banks.find(initiation.bank_id)
        patience = Patience.of(SECONDS)
        try:
            consent = bank.ask_to_pay(initiation.consent_request, initiation.bank_key("consent"), patience)
        except BankRefused as refused:
            if refused.status == 422:
                ended = replace(initiation, status="REJECTED", reason=refused.code)
                self._store.change_initiation(ended, was=initiation)
                return ended
            raise
        secrets = Authorisation.new()
        url = bank.oauth.authorisation_url(SCOPE.format(consent.consentId), secrets, patience)
        waiting = replace(initiation, consent_id=consent.consentId, authorisation_url=url)
        expires = (initiation.created_at + AUTHORISE_PAYMENT_WITHIN).timestamp()
        self._store.expect(Pending("payment", initiation.initiation_id, secrets, expires))
        self._store.change_initiation(waiting, was=initiation)
        return waiting

    def _looked_at(self, initiation: Initiation, bank: Bank, patience: Patience) -> Initiation:
        order = initiation.order(self._cnpj)
        if initiation.payment_id is not None:
            return self._kept(initiation, bank.payment(initiation.payment_id, order, patience))
        try:
            token = self._token(initiation, bank, patience)
            # Again if need be: the same order under the same key.
            return self._kept(initiation, bank.pay(token, order, initiation.bank_key("payment"), patience))
        except BankRefused as refused:
            if not self._decided(refused, initiation, bank, patience):
                return initiation
            ended = replace(initiation, status="REJECTED", reason=refused.code)
            if self._store.change_initiation(ended, was=initiation):
                self._forget(initiation)
            return ended

    def _token(self, initiation: Initiation, bank: Bank, patience: Patience) -> str:
        """The token that an order needs. A refusal of one says nothing of the order."""
        tokens = self._store.tokens(initiation.initiation_id)
        if tokens is None:
            raise BankRefused(401, "no_token")
        if tokens.expires_at <= self._now().timestamp() and tokens.refresh is not None:
            try:
                tokens = bank.oauth.refreshed(tokens.refresh, patience)
            except BankRefused as refused:
                raise BankRefused(401, refused.code) from refused
            self._store.keep_tokens(initiation.initiation_id, tokens, self._now() + KEEP_TOKENS)
        return tokens.access

    def _decided(self, refused: BankRefused, initiation: Initiation, bank: Bank, patience: Patience) -> bool:
        """Whether a refusal means that this order was not carried out and never will be.

        A used consent may have been used by an earlier send of this very order, and a token that is over says
        nothing of it: then only the consent itself can tell.
        """
        if refused.status == 422 and refused.code != "CONSENTIMENTO_INVALIDO":
            return True
        assert initiation.authorised_at is not None, "only what was authorised is ordered"
        too_late = self._now() >= initiation.authorised_at + CONSUME_PAYMENT_WITHIN
        if refused.status != 422 and not too_late:
            return False
        return bank.payment_consent(str(initiation.consent_id), patience).status == "REJECTED"

    def _kept(self, initiation: Initiation, found: documents.Payment) -> Initiation:
        """The initiation as the bank has it, kept. A final one never changes."""
        changes: dict[str, Any] = {"bank_status": found.status, "payment_id": found.paymentId}
        if found.rejectionReason is not None:
            changes["reason"] = str(found.rejectionReason.get("code"))[:64]
        changed = replace(initiation, status=MEANING[found.status], **changes)
        if changed != initiation and not self._store.change_initiation(changed, was=initiation):
            return self._store.initiation(initiation.initiation_id) or changed
        if changed.final:
            self._forget(initiation)
        if changed.status == "SETTLED":
            # Whoever looks next wants to see the money moved, on either side of it.
            for link in self._links.of(changed.owner):
                self._store.outdate(link.link_id)
        return changed

    def _forget(self, initiation: Initiation) -> None:
        """What only an initiation needs that is not final."""
        self._store.forget_tokens(initiation.initiation_id)
        self._due.drop(initiation.initiation_id)
