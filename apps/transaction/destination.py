"""Who is paid: an account here, a Pix key, or an account at another bank by its data.

What turns out to be an account here is a transfer between accounts here: no order leaves for it. Nothing is
asked of anybody before the payer is known to have the money, and nothing for a request that was answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from apps.ledger.account import SETTLEMENT, Refusal, internal_item
from apps.pix import keys, outgoing
from apps.pix.keys import BadKey
from apps.pix.outgoing import Outgoing
from apps.pix.spi import Party

PAYABLE: frozenset[str] = frozenset({"CACC", "SVGS", "TRAN"})
"""Accounts that a Pix may go to; a salary account is none of them."""
LookUpCode = Literal["lookup_limited", "dict_unavailable", "dict_timeout", "dict_bad_answer", "unavailable"]


@dataclass(frozen=True)
class PixKey:
    """Who has this key, as the payer spelt it. `authorization` is the caller's own, for the service that
    looks keys up."""

    key: str = field(repr=False)
    authorization: str = field(repr=False, compare=False)


@dataclass(frozen=True)
class BankAccount:
    """An account by its data: `tax_id` is normalised, `number` without a dash."""

    ispb: str
    branch: str = field(repr=False)
    number: str = field(repr=False)
    account_type: Literal["CACC", "SVGS", "TRAN"]
    tax_id: str = field(repr=False)
    name: str = field(repr=False)


Destination = str | PixKey | BankAccount
"""A text is the id of an account here."""


@dataclass(frozen=True)
class Found:
    """Whom a key leads to. `account_id` is there for an account here."""

    key: str = field(repr=False)
    party: Party
    account_id: str | None


class LookUpFailed(Exception):  # noqa: N818
    """Nobody can say now whose the key is. Nothing is decided; `retry_after` is in seconds."""

    def __init__(self, code: LookUpCode, retry_after: int) -> None:
        super().__init__(code)
        self.code: LookUpCode = code
        self.retry_after = retry_after


class Directory(Protocol):
    """Who looks Pix keys up."""

    def find(self, key: PixKey, end_to_end_id: str) -> Found:
        """Whom the key leads to, for the payment that will carry this id. Raises `Refusal` or
        `LookUpFailed`."""
        ...


class Accounts(Protocol):
    """The accounts here and who holds them. Both raise `Unavailable`."""

    def party(self, account_id: str) -> Party | None:
        """The account and its holder as other banks know them."""
        ...

    def account_at(self, branch: str, number: str) -> str | None:
        """The id of the account with this branch and number."""
        ...


@dataclass(frozen=True)
class Payee:
    """Whose balance is credited: an account here, or `settlement` for another bank's `payment`."""

    account_id: str
    payment: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Destinations:
    """Finds who is paid. `ispb` is our own."""

    ispb: str
    accounts: Accounts
    directory: Directory

    def payee(self, to: PixKey | BankAccount, *, payer: str, transfer_id: str, end_to_end_id: str) -> Payee:
        """Whose balance the payment goes to. Raises `Refusal`, `LookUpFailed` or `Unavailable`."""
        if isinstance(to, BankAccount) and to.ispb == self.ispb:
            return Payee(self._ours(to))
        if isinstance(to, BankAccount):
            creditor = Party(to.ispb, to.tax_id, to.number, to.account_type, to.branch, to.name)
            return self._elsewhere("MANU", creditor, None, payer, transfer_id)
        _check(to.key)
        found = self.directory.find(to, end_to_end_id)
        if found.account_id is not None:
            return Payee(found.account_id)
        if found.party.account_type not in PAYABLE:
            raise Refusal("payee_takes_no_pix", "The key's account takes no Pix: salary accounts do not.")
        return self._elsewhere("DICT", found.party, found.key, payer, transfer_id)

    def _ours(self, to: BankAccount) -> str:
        """The account here that these data name, all of them."""
        account_id = self.accounts.account_at(to.branch, to.number)
        party = self.accounts.party(account_id) if account_id is not None else None
        if (
            account_id is None
            or party is None
            or (party.tax_id, party.account_type)
            != (
                to.tax_id,
                to.account_type,
            )
        ):
            raise Refusal("payee_not_found", "No account here has these data.")
        return account_id

    def _elsewhere(
        self,
        instrument: Literal["MANU", "DICT"],
        creditor: Party,
        key: str | None,
        payer: str,
        transfer_id: str,
    ) -> Payee:
        debtor = self.accounts.party(payer)
        assert debtor is not None, "profile and balance are written in one transaction"
        payment = outgoing.written(Outgoing(instrument, debtor, creditor, key))
        return Payee(internal_item(SETTLEMENT, transfer_id), payment)


def said(to: Destination) -> Mapping[str, object]:
    """The destination as its request said it, for telling a replay from another request."""
    match to:
        case str():
            return {"account": to}
        case PixKey():
            return {"key": to.key}
        case BankAccount():
            return {"bank": vars(to)}


def _check(key: str) -> None:
    try:
        keys.classify(key)
    except BadKey as bad:
        raise Refusal("invalid_key", f"The key {bad}.", {"verdict": bad.code}) from None
