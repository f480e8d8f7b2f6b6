"""Who is paid: an account here, a Pix key, an account at another bank by its data, or whoever made a QR code.

What turns out to be an account here is a transfer between accounts here: no order leaves for it. Nothing is
asked of anybody before the payer is known to have the money, and nothing for a request that was answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from apps.ledger import charge
from apps.ledger.account import SETTLEMENT, Refusal, internal_item
from apps.ledger.charge import Charge
from apps.pix import keys, outgoing, tax_id
from apps.pix.br_code import StaticCode
from apps.pix.keys import BadKey
from apps.pix.limits import Receiver
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


@dataclass(frozen=True)
class QrCode:
    """Whoever a QR code names, by its text. `authorization` as that of a key."""

    text: str = field(repr=False)
    authorization: str = field(repr=False, compare=False)


Destination = str | PixKey | BankAccount | QrCode
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


class QrCodes(Protocol):
    """Who reads QR codes."""

    def read(self, text: str) -> StaticCode | Charge:
        """What a code asks for: of a dynamic one the charge. Raises `Refusal` or `Unavailable`."""
        ...


@dataclass(frozen=True)
class Payee:
    """Whose balance is credited: an account here, or `settlement` for another bank's `payment`, with what
    kind of person is paid there; and the charge that is paid."""

    account_id: str
    payment: str | None = field(default=None, repr=False)
    receiver: Receiver = "natural"
    charge: Charge | None = None


@dataclass(frozen=True)
class Means:
    """How the payer named who is paid, as the order will say it."""

    instrument: Literal["MANU", "DICT", "QRES"]
    key: str | None = None
    txid: str | None = None


@dataclass(frozen=True)
class Destinations:
    """Finds who is paid. `ispb` is our own."""

    ispb: str
    accounts: Accounts
    directory: Directory
    qr_codes: QrCodes

    def payee(
        self,
        to: PixKey | BankAccount | QrCode,
        *,
        payer: str,
        transfer_id: str,
        end_to_end_id: str,
        amount_cents: int,
    ) -> Payee:
        """Whose balance the payment goes to. Raises `Refusal`, `LookUpFailed` or `Unavailable`."""
        if isinstance(to, QrCode):
            code = self.qr_codes.read(to.text)
            if isinstance(code, Charge):
                return Payee(code.account_id, charge=code)
            charge.check_amount(code.amount_cents, amount_cents)
            key, means = PixKey(code.key, to.authorization), Means("QRES", code.key, code.txid)
        elif isinstance(to, PixKey):
            key, means = to, Means("DICT", to.key)
        else:
            return self._by_data(to, payer, transfer_id)
        _check(key.key)
        found = self.directory.find(key, end_to_end_id)
        if found.account_id is not None:
            return Payee(found.account_id)
        if found.party.account_type not in PAYABLE:
            raise Refusal("payee_takes_no_pix", "The key's account takes no Pix: salary accounts do not.")
        return self._elsewhere(replace(means, key=found.key), found.party, payer, transfer_id)

    def _by_data(self, to: BankAccount, payer: str, transfer_id: str) -> Payee:
        if to.ispb == self.ispb:
            return Payee(self._ours(to))
        creditor = Party(to.ispb, to.tax_id, to.number, to.account_type, to.branch, to.name)
        return self._elsewhere(Means("MANU"), creditor, payer, transfer_id)

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

    def _elsewhere(self, means: Means, creditor: Party, payer: str, transfer_id: str) -> Payee:
        debtor = self.accounts.party(payer)
        assert debtor is not None, "profile and balance are written in one transaction"
        payment = outgoing.written(Outgoing(means.instrument, debtor, creditor, means.key, means.txid))
        settlement = internal_item(SETTLEMENT, transfer_id)
        return Payee(settlement, payment, tax_id.kind(creditor.tax_id))


def said(to: Destination) -> Mapping[str, object]:
    """The destination as its request said it, for telling a replay from another request."""
    match to:
        case str():
            return {"account": to}
        case PixKey():
            return {"key": to.key}
        case BankAccount():
            return {"bank": vars(to)}
        case QrCode():
            return {"qr_code": to.text}


def _check(key: str) -> None:
    try:
        keys.classify(key)
    except BadKey as bad:
        raise Refusal("invalid_key", f"The key {bad}.", {"verdict": bad.code}) from None
