"""Open Finance on DynamoDB: links, tokens, last known figures, statements, states and payment initiations.

What is a customer's business at a bank (consent ids, tokens, accounts, amounts, people) is sealed with our
key and bound to its item; only ids, times and states are readable.
"""

import hashlib
import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, cast

from apps.kit import dynamo
from apps.kit.dynamo import Client, ConditionFailed, Item
from apps.ledger.items import Attribute, attributes, key, text
from apps.ledger.transfer import iso
from apps.open_finance.consent import Link, LinkedAccount, LinkStatus
from apps.open_finance.documents import Figures, Movement
from apps.open_finance.oauth import Authorisation, Tokens
from apps.open_finance.payment import Creditor, Initiation
from apps.open_finance.sealing import Sealer

KEEP_COUNTS_SECONDS = 70 * 24 * 3600
_INITIATION_OPEN = ("initiation_id", "link_id", "account_id", "bank_id", "status", "request_hash")


@dataclass(frozen=True)
class Pending:
    """What a browser was sent away for, until it comes back or time is over."""

    kind: str
    about: str
    asked: Authorisation
    expires_at: float


@dataclass(frozen=True)
class Known:
    """Figures as we last read them. `asked_at` is our own time, in seconds since 1970."""

    figures: Figures
    asked_at: float


@dataclass(frozen=True)
class KnownDays:
    """How far a statement is known: its last days were read at `at`, in seconds since 1970, and of the days
    up to `missing_until` some transactions may be missing."""

    at: float | None
    missing_until: date | None


class OpenFinanceStore:
    """The `consents` table."""

    def __init__(self, client: Client, table: str, sealer: Sealer) -> None:
        self._client = client
        self._table = table
        self._sealer = sealer
        self._client_ids: dict[str, str] = {}
        self._lock = threading.Lock()

    # --- our client ids at banks ---

    def client_id(self, bank_id: str) -> str | None:
        """What a bank calls us, if it does."""
        with self._lock:
            known = self._client_ids.get(bank_id)
        if known is None:
            item = self._get(key(f"BANK#{bank_id}", "CLIENT"))
            known = item["client_id"]["S"] if item else None
            if known is not None:
                with self._lock:
                    self._client_ids[bank_id] = known
        return known

    def keep_client_id(self, bank_id: str, client_id: str) -> None:
        """Keeps what a bank calls us from now on."""
        self._put(key(f"BANK#{bank_id}", "CLIENT") | attributes({"client_id": client_id}))
        with self._lock:
            self._client_ids[bank_id] = client_id

    # --- what waits for a browser ---

    def expect(self, pending: Pending) -> None:
        """Keeps what an answer with this state will be about."""
        place = _state_place(pending.asked.state)
        self._put(
            key(place, "STATE")
            | attributes(
                {"kind": pending.kind, "about": pending.about, "ttl": int(pending.expires_at) + 3600}
            )
            | self._sealed(place, {"nonce": pending.asked.nonce, "verifier": pending.asked.verifier})
            | attributes({"expires_at": iso(_moment(pending.expires_at))}),
            "attribute_not_exists(pk)",
        )

    def take(self, state: str) -> Pending | None:
        """What this state was made for, once: whoever comes second finds nothing."""
        place = _state_place(state)
        item = self._get(key(place, "STATE"))
        if item is None:
            return None
        try:
            dynamo.write(
                self._client.delete_item,
                TableName=self._table,
                Key=key(place, "STATE"),
                ConditionExpression="attribute_exists(pk)",
            )
        except ConditionFailed:
            return None
        hidden = self._opened(place, item)
        return Pending(
            item["kind"]["S"],
            item["about"]["S"],
            Authorisation(state, hidden["nonce"], hidden["verifier"]),
            datetime.fromisoformat(item["expires_at"]["S"]).timestamp(),
        )

    # --- links ---

    def link(self, link_id: str) -> Link | None:
        """A link, consistently read."""
        item = self._get(key(f"LINK#{link_id}", "LINK"))
        return self._link_of(item) if item else None

    def links_of(self, owner: str) -> list[Link]:
        """Somebody's links, oldest first. The index may lag behind by moments."""
        return [self._link_of(item) for item in self._owned(f"links#{owner}")]

    def add_link(self, link: Link) -> bool:
        """Keeps a new link; gives false if there is one with this id."""
        try:
            self._put(self._link_item(link), "attribute_not_exists(pk)")
        except ConditionFailed:
            return False
        return True

    def change_link(self, link: Link, *, was: LinkStatus) -> bool:
        """Replaces a link that still has the status `was`; gives whether it had."""
        try:
            self._put(self._link_item(link), "#status = :was", {"#status": "status"}, {":was": text(was)})
        except ConditionFailed:
            return False
        return True

    def place_account(self, account: LinkedAccount, link: Link) -> None:
        """Remembers which link an account came by."""
        item = key(f"ACCOUNT#{account.account_id}", "LINK")
        values = {"link_id": link.link_id, "subject": link.owner, **_ends(link.expires_at)}
        self._put(item | attributes(values))

    def link_of_account(self, account_id: str) -> Link | None:
        """The link that an account came by."""
        item = self._get(key(f"ACCOUNT#{account_id}", "LINK"))
        return self.link(item["link_id"]["S"]) if item else None

    def tokens(self, link_id: str) -> Tokens | None:
        """The tokens of a link or of an initiation."""
        return self._tokens_of(self._get(key(f"LINK#{link_id}", "TOKENS")))

    def keep_tokens(self, about: str, tokens: Tokens, until: datetime) -> None:
        """Keeps the tokens of a link or of an initiation, until what they are for is over."""
        place = f"LINK#{about}"
        item = key(place, "TOKENS") | attributes(_ends(until))
        self._put(item | self._sealed(f"{place}#TOKENS", asdict(tokens)))

    def forget_tokens(self, about: str) -> None:
        """Deletes tokens that are of no use any more."""
        dynamo.write(self._client.delete_item, TableName=self._table, Key=key(f"LINK#{about}", "TOKENS"))

    def forget(self, link: Link) -> None:
        """Deletes what only a consent allowed us to have: tokens, figures and statements."""
        places = [key(f"LINK#{link.link_id}", "TOKENS")]
        for each in link.accounts:
            places += [
                key(f"LINK#{link.link_id}", f"FIGURES#{each.account_id}"),
                key(f"LINK#{link.link_id}", f"READ#{each.account_id}"),
                key(f"ACCOUNT#{each.account_id}", "LINK"),
                *({"pk": item["pk"], "sk": item["sk"]} for item in self._partition(f"MOV#{each.account_id}")),
            ]
        for place in places:
            dynamo.write(self._client.delete_item, TableName=self._table, Key=place)

    # --- figures ---

    def figures(self, link: Link) -> dict[str, Known]:
        """What is known of a link's accounts."""
        return {
            item["sk"]["S"].removeprefix("FIGURES#"): self._known_of(item)
            for item in self._partition(f"LINK#{link.link_id}", "FIGURES#")
        }

    def keep_figures(self, link: Link, account_id: str, known: Known) -> None:
        """Keeps what was read just now, unless something newer is there."""
        place, sort = f"LINK#{link.link_id}", f"FIGURES#{account_id}"
        figures = {**asdict(known.figures), "as_of": iso(known.figures.as_of)}
        item = key(place, sort) | self._sealed(f"{place}#{sort}", figures)
        item |= attributes({"asked_at": iso(_moment(known.asked_at)), **_ends(link.expires_at)})
        try:
            self._put(
                item,
                "attribute_not_exists(asked_at) OR asked_at < :mine",
                values={":mine": item["asked_at"]},
            )
        except ConditionFailed:
            return

    def outdate(self, link_id: str) -> None:
        """Lets what is known of a link's accounts count as old: it stands in only where a bank is silent."""
        for item in self._partition(f"LINK#{link_id}", "FIGURES#"):
            try:
                dynamo.write(
                    self._client.update_item,
                    TableName=self._table,
                    Key={"pk": item["pk"], "sk": item["sk"]},
                    UpdateExpression="SET asked_at = :long_ago",
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeValues={":long_ago": text(iso(_moment(0.0)))},
                )
            except ConditionFailed:
                continue  # the link has just ended

    def may_call(self, link_id: str, endpoint: str, month: str, limit: int, ttl: int) -> bool:
        """Counts a call to a bank; false when the month's published limit is used up."""
        try:
            dynamo.write(
                self._client.update_item,
                TableName=self._table,
                Key=key(f"LINK#{link_id}", f"CALLS#{month}#{endpoint}"),
                UpdateExpression="SET calls = if_not_exists(calls, :none) + :one, #ttl = :ttl",
                ConditionExpression="attribute_not_exists(calls) OR calls < :limit",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={
                    ":none": {"N": "0"},
                    ":one": {"N": "1"},
                    ":limit": {"N": str(limit)},
                    ":ttl": {"N": str(ttl)},
                },
            )
        except ConditionFailed:
            return False
        return True

    def may_look(self, link_id: str, now: float, fresh_seconds: float, ttl: int) -> bool:
        """Notes that a consent is asked for now; false when it was less than so many seconds ago."""
        try:
            dynamo.write(
                self._client.update_item,
                TableName=self._table,
                Key=key(f"LINK#{link_id}", "CALLS#consent"),
                UpdateExpression="SET asked_at = :now, #ttl = :ttl",
                ConditionExpression="attribute_not_exists(asked_at) OR asked_at <= :old",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={
                    ":now": text(iso(_moment(now))),
                    ":old": text(iso(_moment(now - fresh_seconds))),
                    ":ttl": {"N": str(ttl)},
                },
            )
        except ConditionFailed:
            return False
        return True

    # --- statements ---

    def known(self, link_id: str, account_id: str) -> KnownDays:
        """How far a statement is known."""
        item = self._get(key(f"LINK#{link_id}", f"READ#{account_id}"))
        if item is None:
            return KnownDays(None, None)
        missing = item["missing_until"]["S"] if "missing_until" in item else None
        return KnownDays(
            datetime.fromisoformat(item["at"]["S"]).timestamp(),
            date.fromisoformat(missing) if missing is not None else None,
        )

    def keep_known(self, link: Link, account_id: str, at: float, missing_until: date | None) -> None:
        """Keeps how far a statement is known."""
        missing = missing_until.isoformat() if missing_until is not None else None
        item = key(f"LINK#{link.link_id}", f"READ#{account_id}") | attributes(_ends(link.expires_at))
        self._put(item | attributes({"at": iso(_moment(at)), "missing_until": missing}))

    def keep_movements(self, link: Link, account_id: str, found: Sequence[Movement]) -> None:
        """Keeps what a statement has, each transaction once however often it is read."""
        for each in found:
            place = f"MOV#{account_id}"
            sort = f"{iso(each.at)}#{each.transaction_id}"
            content = {**asdict(each), "at": iso(each.at)}
            item = key(place, sort) | attributes(_ends(link.expires_at))
            self._put(item | self._sealed(f"{place}#{sort}", content))

    def movements(
        self, account_id: str, below: str | None, since: str, limit: int
    ) -> tuple[list[tuple[str, Movement]], bool]:
        """Transactions with their places, newest first, from `since` and below the place `below`; and whether
        there are more. Raises `Unavailable`."""
        values = {":pk": text(f"MOV#{account_id}"), ":since": text(since)}
        condition = "pk = :pk AND sk >= :since"
        if below is not None:
            # One bound of a range is the query's, the other is the filter here: DynamoDB takes one condition.
            values[":since"], condition = text(below), "pk = :pk AND sk < :since"
        answer = dynamo.read(
            self._client.query,
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=limit,
        )
        found = [(item["sk"]["S"], self._movement_of(item)) for item in answer["Items"]]
        kept = [each for each in found if each[0] >= since]
        return kept, "LastEvaluatedKey" in answer and len(kept) == len(found)

    # --- payment initiations ---

    def initiation(self, initiation_id: str) -> Initiation | None:
        """An initiation, consistently read."""
        item = self._get(key(f"PAY#{initiation_id}", "PAY"))
        return self._initiation_of(item) if item else None

    def initiations_of(self, owner: str) -> list[Initiation]:
        """Somebody's initiations, oldest first."""
        return [self._initiation_of(item) for item in self._owned(f"payments#{owner}")]

    def add_initiation(self, initiation: Initiation) -> bool:
        """Keeps a new initiation; gives false if there is one with this id."""
        try:
            self._put(self._initiation_item(initiation), "attribute_not_exists(pk)")
        except ConditionFailed:
            return False
        return True

    def change_initiation(self, initiation: Initiation, *, was: Initiation) -> bool:
        """Replaces an initiation that is still as it `was`; gives whether it was."""
        values = {":was": text(was.status), ":bank": text(was.bank_status or "")}
        names = {"#status": "status"}
        condition = "#status = :was AND bank_status = :bank"
        try:
            self._put(self._initiation_item(initiation), condition, names, values)
        except ConditionFailed:
            return False
        return True

    # --- items ---

    def _link_item(self, link: Link) -> dict[str, Attribute]:
        place = f"LINK#{link.link_id}"
        hidden = {
            "permissions": sorted(link.permissions),
            "consent_id": link.consent_id,
            "authorisation_url": link.authorisation_url,
            "accounts": [asdict(each) for each in link.accounts],
        }
        return (
            key(place, "LINK")
            | attributes(
                {
                    "link_id": link.link_id,
                    "owner": f"links#{link.owner}",
                    "bank_id": link.bank_id,
                    "institution": link.institution,
                    "status": link.status,
                    "created_at": iso(link.created_at),
                    "expires_at": iso(link.expires_at),
                    "request_hash": link.request_hash,
                    "reason": link.reason,
                }
            )
            | self._sealed(place, hidden)
        )

    def _link_of(self, item: Item) -> Link:
        hidden = self._opened(item["pk"]["S"], item)
        return Link(
            link_id=item["link_id"]["S"],
            owner=item["owner"]["S"].removeprefix("links#"),
            bank_id=item["bank_id"]["S"],
            institution=item["institution"]["S"],
            status=cast("LinkStatus", item["status"]["S"]),
            permissions=frozenset(hidden["permissions"]),
            consent_id=hidden["consent_id"],
            created_at=datetime.fromisoformat(item["created_at"]["S"]),
            expires_at=datetime.fromisoformat(item["expires_at"]["S"]),
            request_hash=item["request_hash"]["S"],
            authorisation_url=hidden["authorisation_url"],
            accounts=tuple(LinkedAccount(**each) for each in hidden["accounts"]),
            reason=item["reason"]["S"] if "reason" in item else None,
        )

    def _tokens_of(self, item: Item | None) -> Tokens | None:
        return Tokens(**self._opened(f"{item['pk']['S']}#TOKENS", item)) if item else None

    def _known_of(self, item: Item) -> Known:
        hidden = self._opened(f"{item['pk']['S']}#{item['sk']['S']}", item)
        figures = Figures(**{**hidden, "as_of": datetime.fromisoformat(hidden["as_of"])})
        return Known(figures, datetime.fromisoformat(item["asked_at"]["S"]).timestamp())

    def _movement_of(self, item: Item) -> Movement:
        hidden = self._opened(f"{item['pk']['S']}#{item['sk']['S']}", item)
        return Movement(**{**hidden, "at": datetime.fromisoformat(hidden["at"])})

    def _initiation_item(self, initiation: Initiation) -> dict[str, Attribute]:
        place = f"PAY#{initiation.initiation_id}"
        values = asdict(initiation)
        readable = {name: values.pop(name) for name in _INITIATION_OPEN}
        owner, created_at = values.pop("owner"), values.pop("created_at")
        readable |= {
            "owner": f"payments#{owner}",
            "created_at": iso(created_at),
            "bank_status": values.pop("bank_status") or "",
        }
        for name in ("authorised_at", "scheduled_for"):
            values[name] = values[name].isoformat() if values[name] is not None else None
        return key(place, "PAY") | attributes(readable) | self._sealed(place, values)

    def _initiation_of(self, item: Item) -> Initiation:
        hidden = self._opened(item["pk"]["S"], item)
        authorised, planned = hidden["authorised_at"], hidden["scheduled_for"]
        return Initiation(
            **{name: item[name]["S"] for name in _INITIATION_OPEN},
            **{
                **hidden,
                "creditor": Creditor(**hidden["creditor"]),
                "authorised_at": datetime.fromisoformat(authorised) if authorised else None,
                "scheduled_for": date.fromisoformat(planned) if planned else None,
            },
            owner=item["owner"]["S"].removeprefix("payments#"),
            created_at=datetime.fromisoformat(item["created_at"]["S"]),
            bank_status=item["bank_status"]["S"] or None,
        )

    def _sealed(self, place: str, content: Mapping[str, Any]) -> dict[str, Attribute]:
        return {"sealed": text(self._sealer.seal(json.dumps(content), place))}

    def _opened(self, place: str, item: Item) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._sealer.open(item["sealed"]["S"], place))
        return found

    # --- calls ---

    def _get(self, place: Mapping[str, Attribute]) -> Item | None:
        return dynamo.item(self._client, self._table, place)

    def _put(
        self,
        item: Mapping[str, Attribute],
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Attribute] | None = None,
    ) -> None:
        dynamo.put(self._client, self._table, item, condition, names=names, values=values)

    def _partition(self, partition: str, sort: str = "") -> Iterator[Item]:
        condition, values = "pk = :pk", {":pk": text(partition)}
        if sort:
            condition, values = condition + " AND begins_with(sk, :sk)", values | {":sk": text(sort)}
        yield from self._pages(
            KeyConditionExpression=condition, ExpressionAttributeValues=values, ConsistentRead=True
        )

    def _owned(self, owner: str) -> Iterator[Item]:
        yield from self._pages(
            IndexName="owner",
            KeyConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": text(owner)},
        )

    def _pages(self, **request: Any) -> Iterator[Item]:
        return dynamo.pages(self._client, self._table, **request)


class Customers:
    """Who our users are: the tax id that the account service bound to a login, read from its own item."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    def cpf(self, subject: str) -> str | None:
        """The CPF of a login, if it has opened an account here as a person."""
        binding = dynamo.item(self._client, self._table, key(f"SUB#{subject}", "BINDING"))
        tax_id: str | None = binding["tax_id"]["S"] if binding is not None else None
        return tax_id if tax_id is not None and len(tax_id) == 11 else None


def _state_place(state: str) -> str:
    """A state is a secret: only its digest is a key."""
    return "STATE#" + hashlib.sha256(state.encode()).hexdigest()


def _ends(moment: datetime) -> dict[str, str | int | None]:
    """What a consent let us have is no longer ours after its end; the table's TTL sees to that."""
    return {"ttl": math.ceil(moment.timestamp())}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()
