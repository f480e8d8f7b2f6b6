"""The whole DICT service on a fake store and a fake DICT, with a clock that tests move."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.testclient import TestClient

from apps.dict_key.api import KeyService, router
from apps.dict_key.budget import Budget
from apps.dict_key.cache import Cache
from apps.dict_key.chores import Chores
from apps.dict_key.claims import Claims
from apps.dict_key.holders import Holders
from apps.dict_key.lookup import Lookup
from apps.dict_key.registration import Registrations
from apps.dict_key.store import KeyStore
from apps.kit.dynamo import Client
from apps.pix import lookup_tokens
from apps.pix.keys import KeyType
from apps.pix.lookup_tokens import Category
from tests.apps.dict_key.directory import OURS, FakeDirectory
from tests.apps.kit.fake_dynamo import FakeDynamo, catalog_tables
from tests.apps.serving import ANA, BETO, served

ANAS, ANAS_SECOND = "aaaaaaaa-0000-4000-8000-000000000000", "aaaaaaaa-0000-4000-8000-000000000001"
BETOS, COMPANYS = "bbbbbbbb-0000-4000-8000-000000000000", "cccccccc-0000-4000-8000-000000000000"
COMPANY = "subject-of-the-company"
TAX_IDS = {ANA: "52998224725", BETO: "12345678909", COMPANY: "12ABC34501DE35"}
NAMES = {ANA: "Ana Souza", BETO: "Beto Lima", COMPANY: "Loja da Ana Ltda"}
ACCOUNTS = {ANAS: ANA, ANAS_SECOND: ANA, BETOS: BETO, COMPANYS: COMPANY}


class Clock:
    """Now, which a test moves."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()

    def pass_by(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass
class Desk:
    """The service's parts. `raw` is the store itself, whatever `client` does to it."""

    clock: Clock
    raw: FakeDynamo
    directory: FakeDirectory
    service: KeyService
    budget: Budget
    chores: Chores

    def tokens(self, key_type: KeyType, payer: str) -> int:
        """What a payer's bucket holds now."""
        policy = lookup_tokens.user_policy(key_type, payer)
        return self._tokens(lookup_tokens.user_bucket(policy, payer), policy)

    def participant_tokens(self, category: Category = "A") -> int:
        """What the bank's bucket holds now."""
        policy = lookup_tokens.participant_policy(category)
        return self._tokens(lookup_tokens.participant_bucket(policy), policy)

    def set_tokens(self, key_type: KeyType, payer: str, tokens: int) -> None:
        """Puts a payer's bucket where a test begins."""
        self.set_bucket(lookup_tokens.user_bucket(lookup_tokens.user_policy(key_type, payer), payer), tokens)

    def set_bucket(self, place: str, tokens: int) -> None:
        values = {"tokens": {"N": str(tokens)}, "refilled_at": {"N": str(int(self.clock.seconds()))}}
        item = {"pk": {"S": place}, "sk": {"S": lookup_tokens.BUCKET_SORT}, **values}
        self.raw.put_item(TableName="keys", Item=item)

    def _tokens(self, place: str, policy: lookup_tokens.Policy) -> int:
        key = {"pk": {"S": place}, "sk": {"S": lookup_tokens.BUCKET_SORT}}
        item = self.raw.get_item(TableName="keys", Key=key).get("Item")
        bucket = None
        if item is not None:
            bucket = lookup_tokens.Bucket(int(item["tokens"]["N"]), int(item["refilled_at"]["N"]))
        return lookup_tokens.refilled(bucket, policy, int(self.clock.seconds())).tokens

    def items(self) -> list[dict[str, Any]]:
        """Everything in the table `keys`."""
        found: list[dict[str, Any]] = list(self.raw.scan(TableName="keys")["Items"])
        return found

    @contextmanager
    def served(self) -> Iterator[TestClient]:
        """The endpoints."""
        with served(router, {"service": self.service}) as client:
            yield client


def desk(*, client: Client | None = None, raw: FakeDynamo | None = None, category: Category = "A") -> Desk:
    """A service whose customers have accounts."""
    clock = Clock()
    raw = raw or FakeDynamo(catalog_tables(""), clock.seconds)
    client = client or raw
    for account_id, subject in ACCOUNTS.items():
        _open(raw, account_id, subject)
    directory = FakeDirectory(clock)
    store, holders = KeyStore(client, "keys"), Holders(client, "accounts", OURS)
    budget = Budget(client, "keys", category, clock.seconds)
    lookup = Lookup(store, Cache(client, "keys", clock.seconds), budget, directory)
    registrations = Registrations(store, holders, budget, directory, clock)
    claims = Claims(store, holders, budget, directory, OURS, clock)
    service = KeyService(lookup, registrations, claims, store, holders, OURS)
    return Desk(clock, raw, directory, service, budget, Chores(store, registrations, claims, clock))


def _open(raw: FakeDynamo, account_id: str, subject: str) -> None:
    """What the account service writes of an account, as far as this service reads it."""
    profile = {
        "owner": subject,
        "name": NAMES[subject],
        "tax_id": TAX_IDS[subject],
        "account_type": "CACC",
        "branch": "0001",
        "number": f"0012345{account_id[-1]}-7",
        "opened_at": "2026-01-01T12:00:00.000Z",
    }
    for place, values in (
        ((f"ACC#{account_id}", "PROFILE"), profile),
        ((f"SUB#{subject}", "BINDING"), {"tax_id": TAX_IDS[subject]}),
    ):
        item = {"pk": {"S": place[0]}, "sk": {"S": place[1]}}
        raw.put_item(TableName="accounts", Item=item | {name: {"S": value} for name, value in values.items()})
