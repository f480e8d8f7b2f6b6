"""The Account Service: accounts, balances and statements. Builds everything and serves until told to stop."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from apps.account.api import AccountService, router
from apps.account.limits_api import router as limits_router
from apps.account.linked import OpenFinance
from apps.account.store import AccountStore, Grant
from apps.kit import dynamo, logs, outbound, pool_keys, service, settings
from apps.kit.dynamo import TableCheck, Unavailable
from apps.kit.problems import Problem
from apps.kit.tokens import Verifier
from apps.ledger.items import Corrupted
from apps.ledger.store import Ledger, Tables


class AccountSettings(settings.ApiSettings):
    """What the Account Service reads from its environment."""

    table_accounts: str
    table_transactions: str
    table_events: str
    dynamodb_endpoint: str | None = None
    url_open_finance: str
    ispb: str
    opening_grant_cents: Annotated[int, Field(ge=0)]
    hold_minutes: Annotated[int, Field(ge=1)]
    outbox_shards: Annotated[int, Field(ge=1)]


def main() -> None:
    """Serves accounts."""
    config = settings.read(AccountSettings)
    logs.configure(config.service, config.log_level)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    tables = Tables(config.table_accounts, config.table_transactions, config.table_events)
    ledger = Ledger(client, tables, config.outbox_shards)
    grant = Grant(config.opening_grant_cents, timedelta(minutes=config.hold_minutes))
    store = AccountStore(client, config.table_accounts, ledger, grant)
    linked = OpenFinance(outbound.sender(), config.url_open_finance)
    verifier = Verifier(
        config.cognito_issuer,
        config.cognito_jwks_url,
        config.cognito_client_ids,
        # For the one service that must not reach the pool.
        fetch=pool_keys.publishing(client, config.table_accounts),
    )
    app = service.create_app(
        "Accounts",
        "1",
        [router, limits_router],
        ready=[TableCheck(client, config.table_accounts)],
        errors={
            Unavailable: Problem(
                503, "unavailable", "The ledger does not answer. Try again.", headers={"Retry-After": "1"}
            ),
            Corrupted: Problem(
                500, "record_damaged", "A record of this is damaged. No money moves on it; we look into it."
            ),
        },
        state={"service": AccountService(store, config.ispb, linked)},
        verifier=verifier,
    )
    service.serve(app, config.host, config.port)


if __name__ == "__main__":
    settings.run(main)
