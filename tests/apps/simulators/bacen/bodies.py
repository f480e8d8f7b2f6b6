"""Requests to the DICT, as a bank writes them."""

import uuid
from datetime import UTC, datetime

from apps.simulators.bacen.directory import Account, Entry, Owner
from tests.apps.simulators.bacen.scene import OWN, PAYER

KEY = "ana.souza@example.com"


def create_entry(
    *,
    key: str | None = KEY,
    key_type: str = "EMAIL",
    reason: str = "USER_REQUESTED",
    request_id: str | None = None,
    signature: str = "<Signature/>",
    more: str = "",
    **person: str,
) -> bytes:
    """A `CreateEntryRequest`."""
    named = f"<Key>{key}</Key>" if key is not None else ""
    account, owner = _account("Account", person), _owner("Owner", person)
    entry = f"{more}{named}<KeyType>{key_type}</KeyType>{account}{owner}{more}"
    asked = request_id or str(uuid.uuid4())
    return _request(
        "CreateEntryRequest",
        f"{signature}<Entry>{entry}</Entry><Reason>{reason}</Reason><RequestId>{asked}</RequestId>{more}",
    )


def update_entry(*, key: str, reason: str = "USER_REQUESTED", **person: str) -> bytes:
    """An `UpdateEntryRequest`."""
    content = (
        f"<Key>{key}</Key>{_account('Account', person)}{_owner('Owner', person)}<Reason>{reason}</Reason>"
    )
    return _request("UpdateEntryRequest", f"<Signature/>{content}")


def delete_entry(
    *,
    key: str,
    participant: str = OWN,
    reason: str = "USER_REQUESTED",
    in_body: str | None = None,
    signature: str = "<Signature/>",
) -> bytes:
    """A `DeleteEntryRequest`."""
    content = f"<Key>{in_body or key}</Key><Participant>{participant}</Participant><Reason>{reason}</Reason>"
    return _request("DeleteEntryRequest", signature + content)


def create_claim(*, kind: str, key: str, key_type: str, **person: str) -> bytes:
    """A `CreateClaimRequest`."""
    account, owner = _account("ClaimerAccount", person), _owner("Claimer", person)
    claim = f"<Type>{kind}</Type><Key>{key}</Key><KeyType>{key_type}</KeyType>{account}{owner}"
    return _request("CreateClaimRequest", f"<Signature/><Claim>{claim}</Claim>")


def act_on_claim(
    action: str, claim_id: str, participant: str, reason: str = "", request_id: str = ""
) -> bytes:
    """What donor and claimer do with a claim."""
    content = f"<Signature/><ClaimId>{claim_id}</ClaimId><Participant>{participant}</Participant>"
    content += f"<Reason>{reason}</Reason>" if reason else ""
    content += f"<RequestId>{request_id}</RequestId>" if request_id else ""
    return _request(f"{action.capitalize()}ClaimRequest", content)


def check_keys(*keys: str) -> bytes:
    """A `CheckKeysRequest`."""
    return _request("CheckKeysRequest", f"<Keys>{''.join(f'<Key>{key}</Key>' for key in keys)}</Keys>")


def specification_entry() -> Entry:
    """The entry whose content identifier D2 computes."""
    opened = datetime(2010, 1, 10, 3, tzinfo=UTC)
    account = Account("12345678", "00001", "0007654321", "CACC", opened)
    request_id = uuid.UUID(bytes=bytes(range(1, 17)))
    return Entry(
        "+5511987654321", "PHONE", account, Owner("11122233300", "João Silva"), opened, opened, request_id
    )


def _account(name: str, said: dict[str, str]) -> str:
    return (
        f"<{name}><Participant>{said.get('participant', OWN)}</Participant>"
        f"<Branch>{said.get('branch', '0001')}</Branch>"
        f"<AccountNumber>{said.get('number', '0000012345')}</AccountNumber>"
        f"<AccountType>{said.get('account_type', 'CACC')}</AccountType>"
        f"<OpeningDate>{said.get('opened', '2020-01-10T03:00:00Z')}</OpeningDate></{name}>"
    )


def _owner(name: str, said: dict[str, str]) -> str:
    return (
        f"<{name}><Type>{said.get('person', 'NATURAL_PERSON')}</Type>"
        f"<TaxIdNumber>{said.get('tax_id', PAYER.tax_id)}</TaxIdNumber>"
        f"<Name>{said.get('name', PAYER.name)}</Name></{name}>"
    )


def _request(name: str, content: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8" ?>\n<{name}>{content}</{name}>'.encode()
