"""What we hold as a holder of data, in the `consents` table: clients, consents, requests, codes and tokens.

Secrets (request URIs, codes, tokens) are keys only as digests; what is a customer's business is sealed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, cast

from apps.kit import dynamo
from apps.kit.dynamo import Client as Dynamo
from apps.kit.dynamo import ConditionFailed, Item
from apps.ledger.items import Attribute, attributes, key, text
from apps.ledger.transfer import iso
from apps.open_finance.holder.consents import By, Given, Status
from apps.open_finance.sealing import Sealer


@dataclass(frozen=True)
class Client:
    """Somebody who may ask our customers for consents. `jwks` are their published keys."""

    client_id: str
    organisation_id: str
    name: str
    jwks: Mapping[str, Any]
    redirect_uris: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What a client asks a customer to authorise, checked. `request_id` names it to our own app."""

    request_id: str
    client_id: str
    consent_id: str
    redirect_uri: str
    scope: str
    state: str
    nonce: str
    challenge: str
    wants_cpf: bool
    expires_at: float


@dataclass(frozen=True)
class Allowed:
    """What a code or a token stands for. `kind` is `code`, `access` or `refresh`; a client's own token is for
    no consent."""

    kind: str
    client_id: str
    consent_id: str | None
    scopes: tuple[str, ...]
    expires_at: float
    asked: Asked | None = None


class HolderStore:
    """The items of the `consents` table that concern what others read here."""

    def __init__(self, client: Dynamo, table: str, sealer: Sealer) -> None:
        self._client = client
        self._table = table
        self._sealer = sealer

    # --- clients ---

    def add_client(self, client: Client) -> None:
        """Keeps a new client."""
        content = {**asdict(client), "redirect_uris": list(client.redirect_uris)}
        self._put(key(f"TPP#{client.client_id}", "CLIENT") | attributes({"content": json.dumps(content)}))

    def client(self, client_id: str) -> Client | None:
        """A client."""
        item = self._get(f"TPP#{client_id}", "CLIENT")
        if item is None:
            return None
        content = json.loads(item["content"]["S"])
        return Client(**{**content, "redirect_uris": tuple(content["redirect_uris"])})

    def first_use(self, client_id: str, assertion_id: str, expires_at: float) -> bool:
        """Whether a client's assertion is seen for the first time."""
        place = key(f"TPP#JTI#{_digest(json.dumps([client_id, assertion_id]))}", "JTI")
        return self._added(place | attributes({"ttl": int(expires_at) + 60}))

    # --- consents ---

    def add_consent(self, consent: Given) -> None:
        """Keeps a new consent."""
        self._put(self._consent_item(consent), "attribute_not_exists(pk)")

    def consent(self, consent_id: str) -> Given | None:
        """A consent, consistently read."""
        item = self._get(f"GIVEN#{consent_id}", "CONSENT")
        return self._consent_of(item) if item else None

    def change_consent(self, consent: Given, *, was: Given) -> bool:
        """Replaces a consent that is still in the state that it `was` in; gives whether it was."""
        try:
            self._put(
                self._consent_item(consent),
                "#status = :was",
                {"#status": "status"},
                {":was": text(was.status)},
            )
        except ConditionFailed:
            return False
        return True

    def given_by(self, owner: str) -> list[Given]:
        """The consents that somebody gave, oldest first. The index may lag behind by moments."""
        return [self._consent_of(item) for item in self._owned(f"given#{owner}")]

    # --- requests, codes and tokens ---

    def keep(self, secret: str, kind: str, content: Allowed | Asked, expires_at: float) -> None:
        """Keeps what a secret stands for, until its time is over."""
        place = f"GIVEN#{kind}#{_digest(secret)}"
        values = self._sealed(place, asdict(content)) | attributes({"ttl": int(expires_at) + 3600})
        self._put(key(place, "SECRET") | values)

    def asked(self, secret: str) -> Asked | None:
        """The request that a secret stands for."""
        found = self._kept(f"GIVEN#request#{_digest(secret)}")
        return Asked(**found[0]) if found else None

    def allowed(self, secret: str, kind: str) -> tuple[Allowed, bool] | None:
        """What a code or token stands for, and whether it was used up before."""
        found = self._kept(f"GIVEN#{kind}#{_digest(secret)}")
        if found is None:
            return None
        content, used = found
        asked = Asked(**content["asked"]) if content["asked"] else None
        return replace(Allowed(**{**content, "asked": asked}), scopes=tuple(content["scopes"])), used

    def use_up(self, secret: str, kind: str) -> bool:
        """Uses a request or a code; gives false to whoever comes second."""
        try:
            dynamo.write(
                self._client.update_item,
                TableName=self._table,
                Key=key(f"GIVEN#{kind}#{_digest(secret)}", "SECRET"),
                UpdateExpression="SET used = :yes",
                ConditionExpression="attribute_exists(pk) AND attribute_not_exists(used)",
                ExpressionAttributeValues={":yes": text("yes")},
            )
        except ConditionFailed:
            return False
        return True

    # --- items ---

    def _kept(self, place: str) -> tuple[dict[str, Any], bool] | None:
        item = self._get(place, "SECRET")
        return (self._opened(place, item), "used" in item) if item else None

    def _consent_item(self, consent: Given) -> dict[str, Attribute]:
        place = f"GIVEN#{consent.consent_id}"
        hidden = {
            "cpf": consent.cpf,
            "permissions": list(consent.permissions),
            "accounts": list(consent.accounts),
        }
        readable = {
            "consent_id": consent.consent_id,
            "client_id": consent.client_id,
            "status": consent.status,
            "created_at": iso(consent.created_at),
            "updated_at": iso(consent.updated_at),
            "expires_at": iso(consent.expires_at) if consent.expires_at else None,
            "owner": f"given#{consent.owner}" if consent.owner else None,
            "rejected_by": consent.rejected_by,
            "rejected_for": consent.rejected_for,
        }
        return key(place, "CONSENT") | attributes(readable) | self._sealed(place, hidden)

    def _consent_of(self, item: Item) -> Given:
        hidden = self._opened(item["pk"]["S"], item)
        ends = item["expires_at"]["S"] if "expires_at" in item else None
        return Given(
            consent_id=item["consent_id"]["S"],
            client_id=item["client_id"]["S"],
            cpf=hidden["cpf"],
            status=cast("Status", item["status"]["S"]),
            permissions=tuple(hidden["permissions"]),
            created_at=datetime.fromisoformat(item["created_at"]["S"]),
            updated_at=datetime.fromisoformat(item["updated_at"]["S"]),
            expires_at=datetime.fromisoformat(ends) if ends else None,
            owner=item["owner"]["S"].removeprefix("given#") if "owner" in item else None,
            accounts=tuple(hidden["accounts"]),
            rejected_by=cast("By", item["rejected_by"]["S"]) if "rejected_by" in item else None,
            rejected_for=item["rejected_for"]["S"] if "rejected_for" in item else None,
        )

    def _sealed(self, place: str, content: Mapping[str, Any]) -> dict[str, Attribute]:
        return {"sealed": text(self._sealer.seal(json.dumps(content), place))}

    def _opened(self, place: str, item: Item) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._sealer.open(item["sealed"]["S"], place))
        return found

    def _added(self, item: Mapping[str, Attribute]) -> bool:
        try:
            self._put(item, "attribute_not_exists(pk)")
        except ConditionFailed:
            return False
        return True

    def _get(self, partition: str, sort: str) -> Item | None:
        return dynamo.item(self._client, self._table, key(partition, sort))

    def _put(
        self,
        item: Mapping[str, Attribute],
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Attribute] | None = None,
    ) -> None:
        dynamo.put(self._client, self._table, item, condition, names=names, values=values)

    def _owned(self, owner: str) -> Iterator[Item]:
        return dynamo.pages(
            self._client,
            self._table,
            IndexName="owner",
            KeyConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": text(owner)},
        )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
