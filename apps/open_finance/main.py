"""The Open Finance Service: consents, accounts and payments at other banks."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from anyio import to_thread
from fastapi import FastAPI
from pydantic import Field

from apps.kit import dynamo, logs, outbound, secret_values, service, settings
from apps.kit.dynamo import Client, OutcomeUnknown, TableCheck, Unavailable
from apps.kit.outbound import Send
from apps.kit.problems import Problem
from apps.kit.tokens import Verifier
from apps.open_finance import keys, simulated_keys
from apps.open_finance.access import Access
from apps.open_finance.api import OpenFinanceService, router
from apps.open_finance.balances import LinkedBalances, Pace
from apps.open_finance.banks import Banks, UnknownBank
from apps.open_finance.callbacks import Callbacks
from apps.open_finance.calls import BankRefused, BankSilent
from apps.open_finance.documents import Invalid
from apps.open_finance.due import DueLooks
from apps.open_finance.follower import Follower
from apps.open_finance.holder import api as holder_api
from apps.open_finance.holder import customer_api
from apps.open_finance.holder.accounts import HeldAccounts
from apps.open_finance.holder.authorisation import AuthorisationServer
from apps.open_finance.holder.holder import Holder, People
from apps.open_finance.holder.store import HolderStore
from apps.open_finance.initiations import Initiations
from apps.open_finance.institutions import PUBLIC, Directory, DirectoryAway
from apps.open_finance.keys import OurKeys, Ourselves
from apps.open_finance.links import CallbackRefused, Links, UnknownCustomer
from apps.open_finance.payees import DictPayees
from apps.open_finance.statements import LinkedStatements
from apps.open_finance.store import Customers, OpenFinanceStore

CALLBACK = "/links/callback"


class OpenFinanceSettings(settings.ApiSettings):
    """What the Open Finance Service reads from its environment. `public_url` is where the gateway is reached
    from outside; `bank_directory_url` is asked for the participants unless other banks are simulated."""

    table_consents: str
    table_accounts: str
    dynamodb_endpoint: str | None = None
    secret_open_finance_keys: str
    public_url: str
    url_dict_key: str
    url_other_bank: str | None = None
    bank_directory_url: str = PUBLIC
    bank_deadline_ms: Annotated[int, Field(ge=100, le=60_000)] = 1500
    fresh_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60

    @property
    def participants_url(self) -> str:
        """Where the list of banks is."""
        if self.url_other_bank is not None:
            return f"{self.url_other_bank}/directory/participants"
        return self.bank_directory_url


def problems() -> dict[type[Exception], Problem]:
    """What a client is told when a layer below cannot go on."""
    again = {"Retry-After": "1"}
    return {
        Unavailable: Problem(503, "unavailable", "The store does not answer. Try again.", headers=again),
        OutcomeUnknown: Problem(
            504,
            "outcome_unknown",
            "It may have been done or not. Repeat the request with the same Idempotency-Key.",
            headers=again,
        ),
        DirectoryAway: Problem(
            503, "unavailable", "The list of banks cannot be had. Try again.", headers=again
        ),
        BankSilent: Problem(
            503, "bank_unavailable", "The bank does not answer. Try again.", headers={"Retry-After": "5"}
        ),
        BankRefused: Problem(409, "bank_refused", "The bank refuses."),
        Invalid: Problem(
            502, "bank_answer_invalid", "The bank's answer is not as agreed, so nothing of it was used."
        ),
        UnknownBank: Problem(422, "bank_unknown", "GET /banks says which banks there are."),
        UnknownCustomer: Problem(
            409, "tax_id_unknown", "Open an account here first, as a person: a consent is for one's own CPF."
        ),
        CallbackRefused: Problem(
            400, "callback_refused", "Nothing was linked and nothing was paid. Start again in the app."
        ),
    }


@dataclass(frozen=True)
class World:
    """What reaches outside of this process. `send` speaks with banks, `ask` with our own services; `now` is
    the time in UTC."""

    client: Client
    send: Send
    ask: Send
    verifier: Verifier
    now: Callable[[], datetime]


def built(config: OpenFinanceSettings, our_keys: OurKeys, world: World) -> FastAPI:
    """The application. Its `follower` is for `main` to start."""
    client, now = world.client, world.now
    store = OpenFinanceStore(client, config.table_consents, our_keys.sealer())
    us = Ourselves(our_keys, our_keys.signer(), config.public_url.rstrip("/") + CALLBACK)
    directory = Directory(world.send, config.participants_url, time.monotonic)
    banks = Banks(directory, world.send, us, store, lambda: now().timestamp())
    access = Access(store, config.fresh_seconds, now)
    links = Links(store, Customers(client, config.table_accounts), banks, access, now)
    due = DueLooks(client, config.table_consents)
    initiations = Initiations(store, due, banks, links, cnpj=our_keys.cnpj, now=now)
    pace = Pace(config.bank_deadline_ms / 1000, config.fresh_seconds)
    balances = LinkedBalances(store, banks, access, pace, now)
    statements = LinkedStatements(store, banks, access, pace, now)
    payees = DictPayees(world.ask, config.url_dict_key)
    callbacks = Callbacks(store, links, initiations, now)

    async def close() -> None:
        await to_thread.run_sync(balances.close)

    holder = _holder(config, us, client, now)
    app = service.create_app(
        "Open Finance",
        "1",
        [router, customer_api.router, holder_api.oauth, holder_api.data],
        ready=[TableCheck(client, config.table_consents)],
        errors=problems(),
        state={
            "service": OpenFinanceService(links, balances, statements, initiations, callbacks, payees, now),
            "holder": holder,
            "follower": Follower(due, initiations, now),
        },
        verifier=world.verifier,
        close=[close],
    )
    holder_api.answer_refusals(app, holder)
    return app


def _holder(
    config: OpenFinanceSettings, us: Ourselves, client: Client, now: Callable[[], datetime]
) -> Holder:
    """Our side as a holder of data. Only where other banks are simulated may anybody register."""
    store = HolderStore(client, config.table_consents, us.keys.sealer())
    is_simulated = config.url_other_bank is not None
    issuer = config.public_url.rstrip("/")
    server = AuthorisationServer(store, us.signer, issuer, now, open_registration=is_simulated)
    people = People(HeldAccounts(client, config.table_accounts), Customers(client, config.table_accounts))
    return Holder(server, store, people, us.keys.cnpj, now)


def _document(config: OpenFinanceSettings, client: Client) -> str:
    if config.url_other_bank is not None:
        return simulated_keys.document(client, config.table_consents)
    return secret_values.read(secret_values.connect(config.aws_region), config.secret_open_finance_keys)


def main() -> None:
    """Serves links and payment initiations."""
    config = settings.read(OpenFinanceSettings)
    logs.configure(config.service, config.log_level)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    our_keys = keys.read(_document(config, client))
    world = World(
        client,
        outbound.sender(our_keys.tls()),
        outbound.sender(),
        Verifier(config.cognito_issuer, config.cognito_jwks_url, config.cognito_client_ids),
        lambda: datetime.now(UTC),
    )
    app = built(config, our_keys, world)
    app.state.follower.start()
    with closing(app.state.follower):
        service.serve(app, config.host, config.port)


if __name__ == "__main__":
    settings.run(main)
