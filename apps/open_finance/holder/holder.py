"""What a customer decides about who reads here: yes or no to a request, and the end of what was given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from apps.open_finance.holder.accounts import Held, HeldAccounts
from apps.open_finance.holder.answers import Refused
from apps.open_finance.holder.authorisation import AuthorisationServer
from apps.open_finance.holder.consents import By, Given
from apps.open_finance.holder.store import Asked, HolderStore
from apps.open_finance.store import Customers


class NotYours(Exception):  # noqa: N818
    """There is no such request or consent, for this customer."""


class NotOffered(Exception):  # noqa: N818
    """An account that is not the customer's, or is closed, cannot be shown to anybody."""


@dataclass(frozen=True)
class Waiting:
    """A request that waits for its customer's word."""

    asked: Asked
    consent: Given
    client_name: str
    offered: tuple[Held, ...]


@dataclass(frozen=True)
class People:
    """Our customers: what they have here, and who they are."""

    accounts: HeldAccounts
    customers: Customers


class Holder:
    """Our side as a holder of data. `cnpj` is ours, `now` the time in UTC."""

    def __init__(
        self,
        server: AuthorisationServer,
        store: HolderStore,
        people: People,
        cnpj: str,
        now: Callable[[], datetime],
    ) -> None:
        self.server = server
        self.store = store
        self.accounts = people.accounts
        self.cnpj = cnpj
        self.now = now
        self._customers = people.customers

    def is_open(self, account_id: str) -> bool:
        """Whether there is an account that is not closed."""
        return self.accounts.balance(account_id).status != "CLOSED"

    def waiting(self, subject: str, request_id: str) -> Waiting:
        """What somebody is asked for. Raises `NotYours`, also when the consent names another person."""
        asked = self.server.waiting(request_id)
        consent = self.server.consent(asked.consent_id) if asked is not None else None
        if asked is None or consent is None or consent.status != "AWAITING_AUTHORISATION":
            raise NotYours
        if consent.cpf != self._customers.cpf(subject):
            raise NotYours
        client = self.store.client(asked.client_id)
        offered = tuple(each for each in self.accounts.of(subject) if self._is_offered(each, consent))
        return Waiting(asked, consent, client.name if client else asked.client_id, offered)

    def approve(self, subject: str, request_id: str, chosen: Sequence[str]) -> str:
        """Lets the client read these accounts; gives where the browser goes. Raises `NotYours` or
        `NotOffered`."""
        waiting = self.waiting(subject, request_id)
        if not chosen or not {each.account_id for each in waiting.offered}.issuperset(chosen):
            raise NotOffered
        if not self.server.decided(waiting.asked):
            raise NotYours
        accounts = tuple(dict.fromkeys(chosen))
        given = waiting.consent.authorised(subject, accounts, self.now())
        if not self.store.change_consent(given, was=waiting.consent):
            raise NotYours
        return self.server.code(waiting.asked)

    def refuse(self, subject: str, request_id: str) -> str:
        """Says no; gives where the browser goes. Raises `NotYours`."""
        waiting = self.waiting(subject, request_id)
        if not self.server.decided(waiting.asked):
            raise NotYours
        ended = waiting.consent.rejected("USER", "CUSTOMER_MANUALLY_REJECTED", self.now())
        self.store.change_consent(ended, was=waiting.consent)
        return self.server.back(waiting.asked, error="access_denied")

    def given_by(self, subject: str) -> list[Given]:
        """What somebody lets others read, or did, oldest first."""
        return [each.at(self.now()) for each in self.store.given_by(subject)]

    def revoke(self, subject: str, consent_id: str) -> None:
        """Ends what a customer gave; what has ended stays so. Raises `NotYours`."""
        consent = self.server.consent(consent_id)
        if consent is None or consent.owner != subject:
            raise NotYours
        try:
            self.end(consent, "USER")
        except Refused:
            return  # it has ended, which is what was wanted

    def end(self, consent: Given, by: By) -> None:
        """Ends a consent, whatever becomes of it meanwhile. Raises `Refused` if it has ended before."""
        while not self.store.change_consent(consent.revoked(by, self.now()), was=consent):
            found = self.server.consent(consent.consent_id)
            assert found is not None, "consents are never deleted"
            consent = found

    def client_name(self, client_id: str) -> str:
        """What we call a client."""
        client = self.store.client(client_id)
        return client.name if client is not None else client_id

    def _is_offered(self, held: Held, consent: Given) -> bool:
        return held.tax_id == consent.cpf and self.is_open(held.account_id)
