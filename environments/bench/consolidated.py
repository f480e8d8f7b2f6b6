"""The consolidated view over five linked banks, each of which takes its time, through the gateway."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from environments.bench.percentiles import percentile
from environments.local.api import Api
from environments.local.ministack import root_client
from environments.local.other_banks import OtherBanks, agree

BANKS = 5
BANK_SECONDS = 0.1
VIEWS = 60
TARGET_P50_MS = 200.0


@dataclass(frozen=True)
class Consolidated:
    """Milliseconds of views that asked every bank, and of views within the minute that figures stay fresh."""

    banks: int
    bank_ms: float
    views: int
    p50_ms: float
    p99_ms: float
    fresh_p50_ms: float
    target_p50_ms: float = TARGET_P50_MS


class ViewFailed(Exception):  # noqa: N818
    """A view lacked a bank, so its time says nothing."""


def measure(description: dict[str, Any], api: Api, cpf: str) -> Consolidated:
    """Links five banks as somebody with an account and this CPF, and looks at everything again and again."""
    banks = OtherBanks(description["simulators"]["other_bank"]["url"])
    slugs = {bank["name"]: bank["slug"] for bank in banks.all()}
    chosen = api.get("/banks").body["banks"][:BANKS]
    for bank in chosen:
        slug = slugs[bank["name"]]
        banks.customer(slug, cpf, "Bench")
        asked = api.post("/links", {"bank": bank["bank"]})
        if asked.status != 201 or agree(asked.body["authorisation_url"], cpf).status_code != 200:
            raise ViewFailed(f"{bank['name']} cannot be linked: {asked.text}")
        banks.plan_faults(slug, {"path": "/balances", "delay_seconds": BANK_SECONDS})
    last_known = list(_last_known(description))
    first = list(_views(api, description, last_known))
    fresh = list(_views(api, description, []))
    return Consolidated(
        len(chosen),
        BANK_SECONDS * 1000,
        len(first),
        percentile(first, 50),
        percentile(first, 99),
        percentile(fresh, 50),
    )


def _views(api: Api, description: dict[str, Any], forgotten: Sequence[dict[str, Any]]) -> Iterator[float]:
    """Milliseconds of each view. What is `forgotten` before each has to be asked for again."""
    table = description["table_prefix"] + "consents"
    client = root_client("dynamodb", description["dynamodb_endpoint"])
    for place in range(VIEWS + 1):
        for key in forgotten:
            client.delete_item(TableName=table, Key=key)
        started = time.perf_counter()
        seen = api.get("/balances").body
        took = (time.perf_counter() - started) * 1000
        linked = [each for each in seen["accounts"] if each["link_id"] is not None]
        if len(linked) != BANKS or any(each["stale"] for each in linked):
            raise ViewFailed(f"{len(linked)} of {BANKS} banks, some stale: {seen}")
        if place:  # the first one opens the connections
            yield took


def _last_known(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Where last known figures will be kept: one place for each linked account."""
    table = description["table_prefix"] + "consents"
    client = root_client("dynamodb", description["dynamodb_endpoint"])
    for page in client.get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            if item["sk"]["S"] == "LINK" and item["pk"]["S"].startswith("ACCOUNT#"):
                account = item["pk"]["S"].removeprefix("ACCOUNT#")
                link = item["link_id"]["S"]
                yield {"pk": {"S": f"LINK#{link}"}, "sk": {"S": f"FIGURES#{account}"}}
