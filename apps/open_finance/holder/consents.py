"""Rules of consents that our customers give to others: whole groups of permissions, and the published states.

AWAITING_AUTHORISATION becomes AUTHORISED or REJECTED; revocation and the end of its time are REJECTED too.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from apps.open_finance.consent import AUTHORISE_LINK_WITHIN, GROUPS
from apps.open_finance.holder.answers import Refused, moment, stamp

Status = Literal["AWAITING_AUTHORISATION", "AUTHORISED", "REJECTED"]
By = Literal["USER", "ASPSP", "TPP"]
URN = "urn:gobanking:"
OFFERED: Mapping[str, frozenset[str]] = {
    **GROUPS,
    "limits": frozenset({"ACCOUNTS_READ", "RESOURCES_READ", "ACCOUNTS_OVERDRAFT_LIMITS_READ"}),
}
"""What can be read here: groups, each whole."""
_ELSEWHERE = re.compile(
    r"CUSTOMERS_(PERSONAL|BUSINESS)_(IDENTIFICATIONS|ADITTIONALINFO)_READ"
    r"|(CREDIT_CARDS_ACCOUNTS|LOANS|FINANCINGS|UNARRANGED_ACCOUNTS_OVERDRAFT|INVOICE_FINANCINGS)_[A-Z_]{1,60}"
    r"|(BANK|CREDIT)_FIXED_INCOMES_READ|FUNDS_READ|VARIABLE_INCOMES_READ|TREASURE_TITLES_READ|EXCHANGES_READ"
)
"""Permissions of products that we do not have: dropped, not refused."""
_CPF = re.compile(r"[0-9]{11}")


@dataclass(frozen=True)
class Given:
    """What a customer is asked to let somebody read. `owner` and `accounts` are there once they said yes."""

    consent_id: str
    client_id: str
    cpf: str
    status: Status
    permissions: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    owner: str | None = None
    accounts: tuple[str, ...] = ()
    rejected_by: By | None = None
    rejected_for: str | None = None

    @property
    def urn(self) -> str:
        """What the other side calls it."""
        return URN + self.consent_id

    def at(self, now: datetime) -> "Given":
        """The consent as it stands now: an hour to say yes, and the end that was agreed."""
        if self.status == "AWAITING_AUTHORISATION" and now >= self.created_at + AUTHORISE_LINK_WITHIN:
            return self.rejected("ASPSP", "CONSENT_EXPIRED", self.created_at + AUTHORISE_LINK_WITHIN)
        if self.status == "AUTHORISED" and self.expires_at is not None and now >= self.expires_at:
            return self.rejected("ASPSP", "CONSENT_MAX_DATE_REACHED", self.expires_at)
        return self

    def authorised(self, owner: str, accounts: tuple[str, ...], now: datetime) -> "Given":
        """With its customer's yes for these accounts."""
        return replace(self, status="AUTHORISED", owner=owner, accounts=accounts, updated_at=now)

    def rejected(self, by: By, code: str, now: datetime) -> "Given":
        """Ended."""
        return replace(self, status="REJECTED", rejected_by=by, rejected_for=code, updated_at=now)

    def revoked(self, by: By, now: datetime) -> "Given":
        """Ended because somebody wants it. Raises `Refused` when it has ended before."""
        if self.status == "REJECTED":
            raise Refused(422, "CONSENTIMENTO_EM_STATUS_REJEITADO", "The consent has ended before.")
        given = self.status == "AUTHORISED"
        return self.rejected(by, "CUSTOMER_MANUALLY_REVOKED" if given else "CUSTOMER_MANUALLY_REJECTED", now)

    def view(self) -> dict[str, Any]:
        """`data` of the consent."""
        seen: dict[str, Any] = {
            "consentId": self.urn,
            "creationDateTime": stamp(self.created_at),
            "status": self.status,
            "statusUpdateDateTime": stamp(self.updated_at),
            "permissions": list(self.permissions),
        }
        if self.expires_at is not None:
            seen["expirationDateTime"] = stamp(self.expires_at)
        if self.rejected_by is not None:
            seen["rejection"] = {"rejectedBy": self.rejected_by, "reason": {"code": self.rejected_for}}
        return seen


def requested(body: object, client_id: str, now: datetime) -> Given:
    """The consent that a body asks for. Raises `Refused`."""
    asked = body.get("data") if isinstance(body, dict) else None
    if not isinstance(asked, dict):
        raise Refused(400, "PARAMETRO_NAO_INFORMADO", "The body has no data.")
    if "businessEntity" in asked:
        raise Refused(422, "PERMISSOES_PJ_INCORRETAS", "Only people have accounts that can be read here.")
    return Given(
        consent_id=str(uuid.uuid4()),
        client_id=client_id,
        cpf=_logged_user(asked),
        status="AWAITING_AUTHORISATION",
        permissions=_granted(asked.get("permissions")),
        created_at=now,
        updated_at=now,
        expires_at=_end(asked.get("expirationDateTime"), now),
    )


def _logged_user(asked: Mapping[str, Any]) -> str:
    try:
        document = asked["loggedUser"]["document"]
        cpf, rel = document["identification"], document["rel"]
    except (KeyError, TypeError) as error:
        raise Refused(400, "PARAMETRO_NAO_INFORMADO", "loggedUser.document says who asks.") from error
    if rel != "CPF" or not isinstance(cpf, str) or not _CPF.fullmatch(cpf):
        raise Refused(400, "PARAMETRO_INVALIDO", "loggedUser.document must be a CPF of 11 digits.")
    return cpf


def _granted(asked: object) -> tuple[str, ...]:
    if not isinstance(asked, list) or not asked or not all(isinstance(each, str) for each in asked):
        raise Refused(400, "PARAMETRO_NAO_INFORMADO", "permissions must name at least one.")
    if len(set(asked)) < len(asked):
        raise Refused(400, "PARAMETRO_INVALIDO", "A permission stands twice.")
    known = frozenset().union(*OFFERED.values())
    if not all(name in known or _ELSEWHERE.fullmatch(name) for name in asked):
        raise Refused(400, "PARAMETRO_INVALIDO", "A permission is none.")
    ours = known.intersection(asked)
    if not ours:
        raise Refused(422, "SEM_PERMISSOES_FUNCIONAIS_RESTANTES", "Nothing of this can be had here.")
    whole = frozenset().union(*(group for group in OFFERED.values() if group <= ours))
    if whole != ours:
        raise Refused(422, "COMBINACAO_PERMISSOES_INCORRETA", f"In no whole group: {sorted(ours - whole)}.")
    return tuple(name for name in asked if name in ours)


def _end(asked: object, now: datetime) -> datetime | None:
    if asked is None:
        return None
    end = moment(asked)
    if end is None or end <= now:
        raise Refused(422, "DATA_EXPIRACAO_INVALIDA", "expirationDateTime must be in the future.")
    return end
