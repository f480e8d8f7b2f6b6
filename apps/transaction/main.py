"""The Transaction Service: takes transfers and holds the money for them."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from apps.kit import dynamo, logs, outbound, service, settings
from apps.kit.dynamo import TableCheck, Unavailable
from apps.kit.problems import Problem
from apps.kit.tokens import Verifier
from apps.ledger.items import Corrupted
from apps.ledger.store import Ledger, Tables
from apps.transaction.accounts import HeldAccounts
from apps.transaction.api import TransferService, rendered, router
from apps.transaction.destination import Destinations
from apps.transaction.directory import DictKey
from apps.transaction.listing import Listing
from apps.transaction.own_keys import DictOwnKeys
from apps.transaction.qr_codes import QrCodes
from apps.transaction.qr_codes_api import QrCodeService
from apps.transaction.qr_codes_api import router as qr_codes_router
from apps.transaction.request import Transfers


class TransactionSettings(settings.ApiSettings):
    """What the Transaction Service reads from its environment."""

    table_accounts: str
    table_transactions: str
    table_events: str
    dynamodb_endpoint: str | None = None
    url_dict_key: str
    ispb: str
    hold_minutes: Annotated[int, Field(ge=1)]
    outbox_shards: Annotated[int, Field(ge=1)]


def main() -> None:
    """Serves transfers."""
    config = settings.read(TransactionSettings)
    logs.configure(config.service, config.log_level)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    tables = Tables(config.table_accounts, config.table_transactions, config.table_events)
    ledger = Ledger(client, tables, config.outbox_shards)
    held = HeldAccounts(client, config.table_accounts, config.ispb)
    send = outbound.sender()
    own_keys = DictOwnKeys(send, config.url_dict_key)
    qr_codes = QrCodes(ledger.charges, held, own_keys, ledger.clock)
    destinations = Destinations(config.ispb, held, DictKey(send, config.url_dict_key), qr_codes)
    transfers = Transfers(ledger, config.ispb, timedelta(minutes=config.hold_minutes), rendered, destinations)
    app = service.create_app(
        "Transfers",
        "1",
        [router, qr_codes_router],
        ready=[TableCheck(client, config.table_transactions)],
        errors={
            Unavailable: Problem(
                503, "unavailable", "The ledger does not answer. Try again.", headers={"Retry-After": "1"}
            ),
            Corrupted: Problem(
                500, "record_damaged", "A record of this is damaged. No money moves on it; we look into it."
            ),
        },
        state={
            "service": TransferService(transfers, Listing(client, config.table_transactions)),
            "qr_codes": QrCodeService(qr_codes, ledger),
        },
        verifier=Verifier(config.cognito_issuer, config.cognito_jwks_url, config.cognito_client_ids),
    )
    service.serve(app, config.host, config.port)


if __name__ == "__main__":
    settings.run(main)
