"""What may happen to one balance: the rules, without any I/O.

Each rule takes the balance as it was read and gives the balance and the entry to write, or raises
`Refusal`. A customer's `available` never goes below zero; internal accounts have no lower limit, because
money enters and leaves the bank through them and the sum over all accounts is always zero.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from apps.ledger.entries import GENESIS, AccountStatus, Entry, EntryKind, MonthOpening, status_after
from apps.pix.limits import NOTHING_USED, USUAL, Limits, Receiver, Used

INTERNAL_ITEMS = 8
"""Balance items of each internal account, so that no single item takes every write (design section 3)."""

TREASURY = "treasury"
SETTLEMENT = "settlement"
"""What the bank owes and is owed by other banks, through the SPI."""

_NO_AMOUNT = "an amount is above zero: below it, a credit would be a debit that no rule looks at"


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818
    """A rule says no. `code` is stable and public; `facts` are what a caller can act on."""

    code: str
    detail: str
    facts: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Frozen(Exception):  # noqa: N818
    """The auditor stopped all writes to this account. Nothing is decided; the work waits for an operator."""

    def __init__(self, account_id: str) -> None:
        super().__init__(account_id)
        self.account_id = account_id


@dataclass(frozen=True)
class Balance:
    """One balance item. `month` (yyyymm) is that of the latest entry and never goes back; `owner` is the
    Cognito subject, empty for internal accounts. `pending_credits` are centavos that another bank has been
    promised and that have not arrived. `holder` says what kind of person it belongs to; `limits` is what its
    holder wishes, if they ever did, and `used` what counts against it."""

    account_id: str
    owner: str
    seq: int
    available: int
    on_hold: int
    opened_at: str
    month: str
    last_hash: str
    frozen: bool = False
    status: AccountStatus = "ACTIVE"
    pending_credits: int = 0
    holder: Receiver = "natural"
    limits: Limits | None = None
    used: Used = NOTHING_USED

    @property
    def allowed(self) -> Limits:
        """How much the account may send."""
        return self.limits or USUAL

    @property
    def halted(self) -> bool:
        """Whether no money may move: the auditor froze it, or it says what no rule allows."""
        if self.frozen or self.on_hold < 0 or self.pending_credits < 0:
            return True
        return self.available < 0 and not self.internal

    @property
    def internal(self) -> bool:
        """Whether this is an item of an account of the bank itself."""
        return is_internal(self.account_id)

    @property
    def total(self) -> int:
        """All the money on the account, held or not."""
        return self.available + self.on_hold


@dataclass(frozen=True)
class Posting:
    """One write to one balance: what was read, what is to be there, and the entry that says why; and with
    the first entry of a month, what the month begins with."""

    before: Balance
    after: Balance
    entry: Entry
    opens: MonthOpening | None = None


def is_internal(account_id: str) -> bool:
    """Whether the id names an item of an internal account. Customers' ids are UUIDs, without `#`."""
    return "#" in account_id


def internal_item(account: str, transfer_id: str) -> str:
    """The balance item of internal account `account` that transfer `transfer_id` uses."""
    return f"{account}#{zlib.crc32(transfer_id.encode()) % INTERNAL_ITEMS}"


def unopened(account_id: str, owner: str, at: str, holder: Receiver = "natural") -> Balance:
    """The balance of an account before its first entry."""
    return Balance(account_id, owner, 0, 0, 0, at, month_of(at), GENESIS, holder=holder)


def month_of(at: str) -> str:
    """`2026-11-25T…` as `202611`."""
    return at[0:4] + at[5:7]


def open_account(balance: Balance, at: str) -> Posting:
    """The first entry of a customer's account: zero, so that the account exists for the auditor."""
    assert balance.seq == 0
    return post(balance, "open", None, at, available=0, on_hold=0)


def hold(balance: Balance, amount: int, transfer_id: str, at: str) -> Posting:
    """Sets `amount` aside. Raises `Refusal` `account_frozen`, `account_blocked`, `account_closed` or
    `insufficient_funds`."""
    assert amount > 0, _NO_AMOUNT
    _check_halted(balance)
    if balance.status == "BLOCKED":
        raise Refusal("account_blocked", "The account is blocked; it pays nobody.")
    if balance.status == "CLOSED":
        raise Refusal("account_closed", "The account is closed.")
    if not balance.internal and balance.available < amount:
        raise Refusal(
            "insufficient_funds",
            "The account has less available than the amount.",
            {"available_cents": balance.available},
        )
    return post(balance, "hold", transfer_id, at, available=-amount, on_hold=amount)


def release(balance: Balance, amount: int, transfer_id: str, at: str) -> Posting:
    """Gives a hold back."""
    assert amount > 0, _NO_AMOUNT
    return post(balance, "release", transfer_id, at, available=amount, on_hold=-amount)


def debit(balance: Balance, amount: int, transfer_id: str, at: str) -> Posting:
    """Takes held money away."""
    assert amount > 0, _NO_AMOUNT
    return post(balance, "debit", transfer_id, at, available=0, on_hold=-amount)


def credit(balance: Balance, amount: int, transfer_id: str, at: str) -> Posting:
    """Adds money that has left another account."""
    assert amount > 0, _NO_AMOUNT
    return post(balance, "credit", transfer_id, at, available=amount, on_hold=0)


def pay_out(balance: Balance, amount: int, transfer_id: str, at: str) -> Posting:
    """Takes money from an internal account that has no lower limit, without a hold before."""
    assert amount > 0, _NO_AMOUNT
    assert balance.internal, "a customer's money is held before it leaves"
    return post(balance, "debit", transfer_id, at, available=-amount, on_hold=0)


def accept(balance: Balance, amount: int, transfer_id: str, at: str) -> Posting:
    """Promises another bank to credit `amount` once it has arrived: until then the account cannot be closed.
    Raises `Refusal` `account_frozen`, `account_blocked` or `account_closed`."""
    assert amount > 0, _NO_AMOUNT
    _check_halted(balance)
    if balance.status == "BLOCKED":
        raise Refusal("account_blocked", "The account is blocked; it takes no money.")
    if balance.status == "CLOSED":
        raise Refusal("account_closed", "The account is closed.")
    return post(balance, "accept", transfer_id, at, available=0, on_hold=0, pending=amount)


def fulfil(balance: Balance, amount: int, transfer_id: str, at: str) -> Posting:
    """Credits what was promised, also to an account that has been blocked since."""
    assert amount > 0, _NO_AMOUNT
    return post(balance, "credit", transfer_id, at, available=amount, on_hold=0, pending=-amount)


def forgo(balance: Balance, amount: int, transfer_id: str, at: str) -> Posting:
    """Ends a promise: the money will not arrive."""
    assert amount > 0, _NO_AMOUNT
    return post(balance, "reject", transfer_id, at, available=0, on_hold=0, pending=-amount)


def block(balance: Balance, at: str) -> Posting | None:
    """Lets the account neither pay nor be paid; what is held already still goes its way. Nothing to write
    where that is so. Raises `Refusal` `internal_account`, `account_frozen` or `account_closed`."""
    _check_changeable(balance)
    return None if balance.status == "BLOCKED" else post(balance, "block", None, at, available=0, on_hold=0)


def unblock(balance: Balance, at: str) -> Posting | None:
    """Ends a block. Nothing to write where there is none. Raises what `block` raises."""
    _check_changeable(balance)
    return None if balance.status == "ACTIVE" else post(balance, "unblock", None, at, available=0, on_hold=0)


def close(balance: Balance, at: str) -> Posting | None:
    """Ends the account, for good. Nothing to write where it has ended. Raises `Refusal` `internal_account`,
    `account_frozen`, `account_blocked`, or `account_not_empty` with what is left."""
    if balance.status == "CLOSED":
        return None
    _check_changeable(balance)
    if balance.status == "BLOCKED":
        raise Refusal("account_blocked", "The account is blocked; only the bank can change that.")
    if balance.available or balance.on_hold or balance.pending_credits:
        raise Refusal(
            "account_not_empty",
            "Something is left on the account, or on its way to it.",
            {
                "available_cents": balance.available,
                "on_hold_cents": balance.on_hold,
                "pending_credits_cents": balance.pending_credits,
            },
        )
    return post(balance, "close", None, at, available=0, on_hold=0)


def limit(balance: Balance, limits: Limits, at: str) -> Posting | None:
    """Writes down how much the account may send. Nothing to write where that is so. Raises `Refusal`
    `internal_account`, `account_frozen` or `account_closed`."""
    _check_changeable(balance)
    if limits == balance.allowed:
        return None
    posting = post(balance, "limit", None, at, available=0, on_hold=0)
    return replace(posting, after=replace(posting.after, limits=limits))


def counted(posting: Posting, used: Used) -> Posting:
    """The same write with what counts against the limits as it becomes."""
    return replace(posting, after=replace(posting.after, used=used))


def _check_changeable(balance: Balance) -> None:
    if balance.internal:
        raise Refusal("internal_account", "This is an account of the bank itself.")
    _check_halted(balance)
    if balance.status == "CLOSED":
        raise Refusal("account_closed", "The account is closed.")


def _check_halted(balance: Balance) -> None:
    if balance.halted:
        raise Refusal("account_frozen", "The account is under review; no money moves on it.")


def post(
    balance: Balance,
    kind: EntryKind,
    transfer_id: str | None,
    at: str,
    *,
    available: int,
    on_hold: int,
    pending: int = 0,
) -> Posting:
    """The only way to change a balance. Raises `Frozen`; a negative result is a bug and stops the process."""
    if balance.halted:
        raise Frozen(balance.account_id)
    # Another machine's clock may be ahead: entries stay in the newest month, so that months stay ordered.
    month = max(balance.month, month_of(at))
    entry = Entry(
        account_id=balance.account_id,
        seq=balance.seq + 1,
        kind=kind,
        transfer_id=transfer_id,
        delta_available=available,
        delta_on_hold=on_hold,
        available_after=balance.available + available,
        on_hold_after=balance.on_hold + on_hold,
        at=at,
        month=month,
        prev_hash=balance.last_hash,
    ).sealed()
    assert entry.on_hold_after >= 0, f"{balance.account_id}: on_hold below zero"
    assert balance.internal or entry.available_after >= 0, f"{balance.account_id}: available below zero"
    assert balance.pending_credits + pending >= 0, f"{balance.account_id}: pending_credits below zero"
    after = replace(
        balance,
        seq=entry.seq,
        available=entry.available_after,
        on_hold=entry.on_hold_after,
        month=month,
        last_hash=entry.hash,
        status=status_after(balance.status, kind),
        pending_credits=balance.pending_credits + pending,
    )
    return Posting(balance, after, entry, _opening(balance, month))


def _opening(balance: Balance, month: str) -> MonthOpening | None:
    """What a month begins with, if this is its first entry."""
    if balance.seq > 0 and month == balance.month:
        return None
    return MonthOpening(
        account_id=balance.account_id,
        month=month,
        seq=balance.seq,
        available=balance.available,
        on_hold=balance.on_hold,
        last_hash=balance.last_hash,
        status=balance.status,
    )
