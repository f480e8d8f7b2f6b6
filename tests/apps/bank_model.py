"""The bank in few lines: what each customer is told, and what every account and transfer is then."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class Account:
    owner: str
    available: int = 0
    on_hold: int = 0
    status: str = "ACTIVE"
    limits: dict[str, int] = field(default_factory=lambda: {"day": 500_000, "night": 100_000})
    sent: Counter[str] = field(default_factory=Counter)


@dataclass
class Paid:
    kind: str
    payer: str
    payee: str
    cents: int
    of: str | None = None
    period: str = ""
    status: str = "HELD"
    returnable: int = 0


@dataclass
class Model:
    """`accounts` and `transfers` by id. The bank's own money is the account `treasury`."""

    accounts: dict[str, Account] = field(default_factory=lambda: {"treasury": Account("", 10**9)})
    transfers: dict[str, Paid] = field(default_factory=dict)

    def refusal(self, subject: str, paid: Paid) -> str | None:
        """Why a hold is refused, if it is."""
        payer, payee = self.accounts.get(paid.payer), self.accounts.get(paid.payee)
        if payer is None or payer.owner != subject:
            return "account_not_found"
        if paid.payer == paid.payee:
            return "same_account"
        if payee is None:
            return "payee_not_found"
        if payee.status == "CLOSED":
            return "payee_closed"
        if payer.status != "ACTIVE":
            return f"account_{payer.status.lower()}"
        return self._too_much(payer, paid)

    def _too_much(self, payer: Account, paid: Paid) -> str | None:
        if payer.available < paid.cents:
            return "insufficient_funds"
        limit = payer.limits.get(paid.period.partition("/")[2], 10**9)
        return "limit_exceeded" if payer.sent[paid.period] + paid.cents > limit else None

    def refusal_to_return(self, subject: str, of: str, cents: int) -> str | None:
        """Why a return is refused before anybody looks at money, if it is."""
        original = self.transfers[of]
        if subject not in {self.accounts[original.payer].owner, self.accounts[original.payee].owner}:
            return "transfer_not_found"
        if subject != self.accounts[original.payee].owner:
            return "not_the_payee"
        if original.kind != "transfer":
            return "not_returnable"
        if original.status != "SETTLED":
            return "transfer_not_settled"
        return "return_exceeds_amount" if original.returnable < cents else None

    def hold(self, transfer_id: str, paid: Paid) -> None:
        self.transfers[transfer_id] = paid
        self.accounts[paid.payer].available -= paid.cents
        self.accounts[paid.payer].on_hold += paid.cents
        self.accounts[paid.payer].sent[paid.period] += paid.cents
        if paid.of is not None:
            self.transfers[paid.of].returnable -= paid.cents

    def settle(self, transfer_id: str) -> None:
        paid = self.transfers[transfer_id]
        if paid.status == "HELD" and self.accounts[paid.payee].status != "ACTIVE":
            self.reject(transfer_id)
        elif paid.status == "HELD":
            paid.status = "SETTLED"
            paid.returnable = paid.cents if paid.kind == "transfer" else 0
            self.accounts[paid.payer].on_hold -= paid.cents
            self.accounts[paid.payee].available += paid.cents

    def reject(self, transfer_id: str) -> None:
        paid = self.transfers[transfer_id]
        paid.status = "REJECTED"
        self.accounts[paid.payer].on_hold -= paid.cents
        self.accounts[paid.payer].available += paid.cents
        self.accounts[paid.payer].sent[paid.period] -= paid.cents
        if paid.of is not None:
            self.transfers[paid.of].returnable += paid.cents

    def close(self, account_id: str) -> str | None:
        """Why an account is not closed, if it is not."""
        account = self.accounts[account_id]
        if account.status == "BLOCKED":
            return "account_blocked"
        if account.available or account.on_hold:
            return "account_not_empty"
        account.status = "CLOSED"
        return None


def period(now: datetime) -> str:
    """Day or night in Brasília, three hours behind; a night is that of the evening before."""
    there = now - timedelta(hours=3)
    if 6 <= there.hour < 20:
        return f"{there:%Y-%m-%d}/day"
    return f"{there - timedelta(hours=6):%Y-%m-%d}/night"
