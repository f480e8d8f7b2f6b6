"""QR codes of Pix: made for keys and accounts here, read whoever made them, and drawn.

A static code names a key and may be paid again and again. A dynamic one names a charge: an amount that is
paid once, until it expires. Charges of ours are paid here; the address of one is served to nobody else, since
another bank would believe only a document signed as Bacen's manual of security says, which is not read here.
For the same reason a charge of another bank is refused.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol

import segno

from apps.ledger.account import Refusal
from apps.ledger.charge import Charge
from apps.ledger.charges import Charges
from apps.ledger.store import Clock
from apps.ledger.transfer import iso
from apps.pix import br_code, keys
from apps.pix.br_code import BadCode, Code, CodeProblem, DynamicCode, StaticCode
from apps.pix.keys import BadKey
from apps.pix.spi import Party

Picture = Literal["svg", "png"]

ADDRESS = "pix.gobanking.example/v2/"
"""Where the charges of this bank are."""
CITY = "BRASILIA"
"""What a code says where its maker names no city: the field must be there."""
_CHARGES = uuid.UUID("6a0d6c4e-6ad9-5a0f-8e57-0d4b7f1c2a55")
_TAMPERED: frozenset[CodeProblem] = frozenset({"checksum_missing", "checksum_wrong"})
_FOREIGN: frozenset[CodeProblem] = frozenset({"not_pix", "other_version", "other_currency", "other_country"})


class KeyReused(Exception):  # noqa: N818
    """The idempotency key belongs to a charge that says something else."""


class Accounts(Protocol):
    """Who holds an account here."""

    def party(self, account_id: str) -> Party | None:
        """The account and its holder. Raises `Unavailable`."""
        ...


class OwnKeys(Protocol):
    """The Pix keys of a caller."""

    def account_of(self, key: str, authorization: str) -> str | None:
        """The account that a key of the caller's leads to. Raises `Unavailable`."""
        ...


@dataclass(frozen=True)
class StaticWish:
    """A code for one of the caller's keys, as they spell it. `authorization` is their own."""

    key: str = field(repr=False)
    authorization: str = field(repr=False)
    amount_cents: int | None
    txid: str | None
    description: str | None
    city: str | None


@dataclass(frozen=True)
class ChargeWish:
    """A code for a charge of the caller's: `key` is the request's idempotency key."""

    subject: str
    key: str
    account_id: str
    amount_cents: int
    description: str | None
    lifetime: timedelta
    city: str | None

    @property
    def charge_id(self) -> str:
        """The id that this caller's key gives the charge, so that it is its own idempotency record."""
        return str(uuid.uuid5(_CHARGES, f"{self.subject}\nqr-codes\n{self.key}"))

    @property
    def request_hash(self) -> str:
        """SHA-256 of what was asked for, to tell a replay from another request under the same key."""
        said = [
            self.account_id,
            self.amount_cents,
            self.description,
            self.lifetime.total_seconds(),
            self.city,
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@dataclass(frozen=True)
class QrCodes:
    """Makes codes and reads them."""

    charges: Charges
    accounts: Accounts
    own_keys: OwnKeys
    clock: Clock

    def static(self, wish: StaticWish) -> tuple[StaticCode, str]:
        """The code and its text. Raises `Refusal` or `Unavailable`."""
        try:
            key = keys.classify(wish.key).value
        except BadKey as bad:
            raise Refusal("invalid_key", f"The key {bad}.", {"verdict": bad.code}) from None
        account_id = self.own_keys.account_of(key, wish.authorization)
        holder = self.accounts.party(account_id) if account_id is not None else None
        if holder is None:
            raise Refusal("key_not_found", "You have no such key.")
        code = StaticCode(
            key, *_place(holder, wish.city), wish.amount_cents, wish.txid, _plain(wish.description)
        )
        return code, _encoded(code)

    def charge(self, wish: ChargeWish) -> tuple[Charge, bool]:
        """The charge, and whether it was there before. The account is the caller's. Raises `Refusal`,
        `KeyReused`, `Unavailable` or `OutcomeUnknown`."""
        holder = self.accounts.party(wish.account_id)
        assert holder is not None, "profile and balance are written in one transaction"
        now = self.clock.now()
        address = ADDRESS + wish.charge_id.replace("-", "")
        code = _encoded(DynamicCode(address, *_place(holder, wish.city), wish.amount_cents))
        made = Charge(
            charge_id=wish.charge_id,
            subject=wish.subject,
            account_id=wish.account_id,
            amount_cents=wish.amount_cents,
            description=wish.description,
            created_at=iso(now),
            expires_at=iso(now + wish.lifetime),
            request_hash=wish.request_hash,
            code=code,
        )
        stands = self.charges.make(made)
        if stands.request_hash != wish.request_hash:
            raise KeyReused(wish.charge_id)
        return stands, stands != made

    def read(self, text: str) -> StaticCode | Charge:
        """What a code asks for: of a dynamic one the charge, whatever has become of it. Raises `Refusal` or
        `Unavailable`."""
        code = decoded(text)
        if isinstance(code, StaticCode):
            return code
        charge = self.charges.find(_charge_id(code))
        if charge is None:
            raise Refusal("qr_code_unknown", "The QR code's charge does not exist.")
        return charge


def decoded(text: str) -> Code:
    """What a code says. Raises `Refusal` with the rule that it breaks as `verdict`."""
    try:
        return br_code.decode(text)
    except BadCode as bad:
        verdict: Mapping[str, object] = {"verdict": bad.code}
        if bad.code in _TAMPERED:
            raise Refusal("qr_code_tampered", f"The QR code {bad}.", verdict) from None
        if bad.code in _FOREIGN:
            raise Refusal("qr_code_foreign", f"The QR code {bad}.", verdict) from None
        raise Refusal("qr_code_invalid", f"The QR code {bad}.", verdict) from None


def drawn(text: str, picture: Picture) -> str:
    """The code as a picture, as a `data:` URI: level M, four modules of quiet around it, as EMV asks."""
    code = segno.make_qr(text, error="m", boost_error=False)
    if picture == "svg":
        return code.svg_data_uri(scale=4, border=4)
    return code.png_data_uri(scale=8, border=4)


def _charge_id(code: DynamicCode) -> str:
    """The charge of ours that a code's address names. Raises `Refusal`."""
    name = code.url.removeprefix(ADDRESS)
    if name == code.url:
        raise Refusal(
            "qr_code_foreign",
            "The QR code asks for a charge of another bank, which cannot be checked here.",
            {"verdict": "other_bank"},
        )
    try:
        return str(uuid.UUID(hex=name))
    except ValueError:
        raise Refusal("qr_code_unknown", "The QR code's charge does not exist.") from None


def _encoded(code: Code) -> str:
    try:
        return br_code.encode(code)
    except BadCode as bad:
        raise Refusal("qr_code_invalid", f"The QR code {bad}.", {"verdict": bad.code}) from None


def _place(holder: Party, city: str | None) -> tuple[str, str]:
    """Name and city as a code can carry them. A name in another alphabet leaves nothing: the document's
    end stands for it."""
    name = br_code.plain(holder.name or "", br_code.MAX_NAME) or f"CONTA {holder.account[-4:]}"
    return name, br_code.plain(city or "", br_code.MAX_CITY) or CITY


def _plain(description: str | None) -> str | None:
    return br_code.plain(description or "", br_code.MAX_FIELD) or None
