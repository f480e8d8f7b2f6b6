"""Consents to read data: permission groups and the published states (consents 3.0).

AWAITING_AUTHORISATION becomes AUTHORISED or REJECTED; revocation and expiry are REJECTED too.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from apps.simulators.other_bank.answers import Refused
from apps.simulators.other_bank.clock import parsed, stamp

AUTHORISE_WITHIN = timedelta(minutes=60)

_ALWAYS = frozenset({"ACCOUNTS_READ", "RESOURCES_READ"})
GROUPS: Mapping[str, frozenset[str]] = {
    "balances": _ALWAYS | {"ACCOUNTS_BALANCES_READ"},
    "statements": _ALWAYS | {"ACCOUNTS_TRANSACTIONS_READ"},
    "limits": _ALWAYS | {"ACCOUNTS_OVERDRAFT_LIMITS_READ"},
}
UNSUPPORTED = re.compile(
    r"(CUSTOMERS_(PERSONAL|BUSINESS)_(IDENTIFICATIONS|ADITTIONALINFO)_READ"
    r"|(CREDIT_CARDS_ACCOUNTS|LOANS|FINANCINGS|UNARRANGED_ACCOUNTS_OVERDRAFT|INVOICE_FINANCINGS)_[A-Z_]+"
    r"|(BANK|CREDIT)_FIXED_INCOMES_READ|FUNDS_READ|VARIABLE_INCOMES_READ|TREASURE_TITLES_READ|EXCHANGES_READ)"
)
"""Permissions of products that this bank does not have: dropped, not refused."""

Kind = Literal["data", "payment"]


@dataclass
class Rejection:
    """Who ended a consent, and why."""

    by: Literal["USER", "ASPSP", "TPP"]
    code: str


@dataclass(frozen=True)
class Extension:
    """One change of a consent's end, with where its customer was when asking."""

    requested_at: datetime
    previous_end: datetime | None
    end: datetime | None
    ip_address: str
    user_agent: str


@dataclass
class Consent:
    """What a customer is asked to allow. `accounts` are those that the customer chose."""

    consent_id: str
    client_id: str
    kind: Kind
    cpf: str
    status: str
    created_at: datetime
    updated_at: datetime
    permissions: tuple[str, ...] = ()
    expires_at: datetime | None = None
    order: Mapping[str, Any] = field(default_factory=dict)
    accounts: list[str] = field(default_factory=list)
    rejection: Rejection | None = None
    extensions: list[Extension] = field(default_factory=list)

    def move(self, status: str, now: datetime, rejection: Rejection | None = None) -> None:
        """Goes to another state."""
        self.status, self.updated_at, self.rejection = status, now, rejection


def new_id() -> str:
    """A consent's id."""
    return f"urn:gobanksim:{uuid.uuid4().hex.upper()}"


def requested(body: object, client_id: str, now: datetime) -> Consent:
    """The consent that a body asks for. Raises `Refused`."""
    asked = body.get("data") if isinstance(body, dict) else None
    if not isinstance(asked, dict):
        raise Refused(400, "PARAMETRO_NAO_INFORMADO", "The body has no data.")
    return Consent(
        consent_id=new_id(),
        client_id=client_id,
        kind="data",
        cpf=logged_user(asked),
        status="AWAITING_AUTHORISATION",
        created_at=now,
        updated_at=now,
        permissions=_granted(asked.get("permissions")),
        expires_at=_end(asked.get("expirationDateTime"), now),
    )


def logged_user(asked: Mapping[str, Any]) -> str:
    """The CPF of the person who asks. Raises `Refused`."""
    try:
        document = asked["loggedUser"]["document"]
        cpf, rel = document["identification"], document["rel"]
    except (KeyError, TypeError) as error:
        raise Refused(400, "PARAMETRO_NAO_INFORMADO", "loggedUser.document says who asks.") from error
    if rel != "CPF" or not isinstance(cpf, str) or not re.fullmatch(r"[0-9]{11}", cpf):
        raise Refused(400, "PARAMETRO_INVALIDO", "loggedUser.document must be a CPF of 11 digits.")
    return cpf


def _granted(asked: object) -> tuple[str, ...]:
    if not isinstance(asked, list) or not asked or not all(isinstance(each, str) for each in asked):
        raise Refused(400, "PARAMETRO_NAO_INFORMADO", "permissions must name at least one.")
    if len(set(asked)) < len(asked):
        raise Refused(400, "PARAMETRO_INVALIDO", "A permission stands twice.")
    known = frozenset().union(*GROUPS.values())
    for name in asked:
        if name not in known and not UNSUPPORTED.fullmatch(name):
            raise Refused(400, "PARAMETRO_INVALIDO", f"{name[:60]} is no permission.")
    ours = known.intersection(asked)
    if not ours:
        raise Refused(422, "SEM_PERMISSOES_FUNCIONAIS_RESTANTES", "Nothing of this can be had here.")
    covered = frozenset().union(*(group for group in GROUPS.values() if group <= ours))
    if covered != ours:
        missing = ", ".join(sorted(ours - covered))
        raise Refused(422, "COMBINACAO_PERMISSOES_INCORRETA", f"No complete group has: {missing}.")
    return tuple(name for name in asked if name in ours)


def _end(asked: object, now: datetime) -> datetime | None:
    if asked is None:
        return None
    end = parsed(asked)
    if end is None or end <= now:
        raise Refused(422, "DATA_EXPIRACAO_INVALIDA", "expirationDateTime must be in the future.")
    return end


def age(consent: Consent, now: datetime) -> None:
    """Ends a data consent whose time is over."""
    if consent.status == "AWAITING_AUTHORISATION" and now >= consent.created_at + AUTHORISE_WITHIN:
        consent.move("REJECTED", now, Rejection("ASPSP", "CONSENT_EXPIRED"))
    elif consent.status == "AUTHORISED" and consent.expires_at is not None and now >= consent.expires_at:
        consent.move("REJECTED", now, Rejection("ASPSP", "CONSENT_MAX_DATE_REACHED"))


def revoke(consent: Consent, by: Literal["USER", "TPP"], now: datetime) -> None:
    """Ends a consent by its owner's will. Raises `Refused` when it has ended before."""
    if consent.status == "REJECTED":
        raise Refused(422, "CONSENTIMENTO_EM_STATUS_REJEITADO", "The consent has ended before.")
    given = consent.status == "AUTHORISED"
    code = "CUSTOMER_MANUALLY_REVOKED" if given else "CUSTOMER_MANUALLY_REJECTED"
    consent.move("REJECTED", now, Rejection(by, code))


def extended(consent: Consent, body: object, now: datetime, ip_address: str, user_agent: str) -> None:
    """Sets another end, or none. Raises `Refused`."""
    asked = body.get("data") if isinstance(body, dict) else None
    if not isinstance(asked, dict) or logged_user(asked) != consent.cpf:
        raise Refused(422, "ESTADO_CONSENTIMENTO_INVALIDO", "The consent is somebody else's.")
    if consent.status != "AUTHORISED":
        raise Refused(422, "ESTADO_CONSENTIMENTO_INVALIDO", "Only an authorised consent goes on.")
    end = _end(asked.get("expirationDateTime"), now)
    consent.extensions.insert(0, Extension(now, consent.expires_at, end, ip_address, user_agent))
    consent.expires_at = end


def extension_view(consent: Consent, extension: Extension) -> dict[str, Any]:
    """An item of `data` of the consent's extensions; an end that is not there is none."""
    seen: dict[str, Any] = {
        "loggedUser": {"document": {"identification": consent.cpf, "rel": "CPF"}},
        "requestDateTime": stamp(extension.requested_at),
        "xFapiCustomerIpAddress": extension.ip_address,
        "xCustomerUserAgent": extension.user_agent,
    }
    if extension.end is not None:
        seen["expirationDateTime"] = stamp(extension.end)
    if extension.previous_end is not None:
        seen["previousExpirationDateTime"] = stamp(extension.previous_end)
    return seen


def view(consent: Consent) -> dict[str, Any]:
    """`data` of a data consent."""
    seen: dict[str, Any] = {
        "consentId": consent.consent_id,
        "creationDateTime": stamp(consent.created_at),
        "status": consent.status,
        "statusUpdateDateTime": stamp(consent.updated_at),
        "permissions": list(consent.permissions),
    }
    if consent.expires_at is not None:
        seen["expirationDateTime"] = stamp(consent.expires_at)
    if consent.rejection is not None:
        seen["rejection"] = {
            "rejectedBy": consent.rejection.by,
            "reason": {"code": consent.rejection.code},
        }
    return seen


def may(permissions: Sequence[str], needed: str) -> bool:
    """Whether a permission was given."""
    return needed in permissions
