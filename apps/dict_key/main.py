"""The DICT service: whom a Pix key leads to, and the keys that are held here. It alone talks to the DICT.

It may not reach Cognito: what it verifies tokens with comes from `kit.pool_keys`.
"""

from contextlib import closing
from typing import Annotated

import urllib3
from pydantic import Field

from apps.dict_key.api import KeyService, router
from apps.dict_key.budget import Budget
from apps.dict_key.cache import Cache
from apps.dict_key.chores import Chores
from apps.dict_key.claims import Claims
from apps.dict_key.client import UNSEALED, Dict
from apps.dict_key.holders import Holders
from apps.dict_key.lookup import Lookup
from apps.dict_key.registration import Registrations
from apps.dict_key.store import KeyStore
from apps.kit import dynamo, logs, mutual_tls, pool_keys, secret_values, service, settings
from apps.kit.dynamo import MAX_CONNECTIONS, TableCheck, Unavailable
from apps.kit.problems import Problem
from apps.kit.tokens import Verifier
from apps.pix.lookup_tokens import Category

API = "/api/v2"
NOWHERE = "http://127.0.0.1:9"
"""Where no DICT and no simulator is named: nobody listens on the discard port, and every look-up says so."""


class DictKeySettings(settings.ApiSettings):
    """What the DICT service reads from its environment.

    `dict_url` is the DICT's API up to its version, always https: the certificate is in the secret. Without it
    the simulator is asked, where there is one.
    """

    table_keys: str
    table_accounts: str
    dynamodb_endpoint: str | None = None
    ispb: str
    dict_category: Category
    dict_url: Annotated[str, Field(pattern="^https://")] | None = None
    url_bacen: str | None = None
    secret_dict_certificate: str


def main() -> None:
    """Serves keys."""
    config = settings.read(DictKeySettings)
    logs.configure(config.service, config.log_level)
    client = dynamo.connect(config.aws_region, config.dynamodb_endpoint)
    directory = _directory(config)
    store = KeyStore(client, config.table_keys)
    holders = Holders(client, config.table_accounts, config.ispb)
    budget = Budget(client, config.table_keys, config.dict_category)
    lookup = Lookup(store, Cache(client, config.table_keys), budget, directory)
    registrations = Registrations(store, holders, budget, directory)
    claims = Claims(store, holders, budget, directory, config.ispb)
    app = service.create_app(
        "Keys",
        "1",
        [router],
        ready=[TableCheck(client, config.table_keys)],
        errors={
            Unavailable: Problem(
                503, "unavailable", "The store does not answer. Try again.", headers={"Retry-After": "1"}
            )
        },
        state={"service": KeyService(lookup, registrations, claims, store, holders, config.ispb)},
        verifier=Verifier(
            config.cognito_issuer,
            config.cognito_jwks_url,
            config.cognito_client_ids,
            fetch=pool_keys.published(client, config.table_accounts),
        ),
    )
    chores = Chores(store, registrations, claims)
    chores.start()
    with closing(chores):
        service.serve(app, config.host, config.port)


def _directory(config: DictKeySettings) -> Dict:
    if config.dict_url is not None:
        secrets = secret_values.connect(config.aws_region)
        pool = urllib3.PoolManager(
            maxsize=MAX_CONNECTIONS, ssl_context=mutual_tls.context(secrets, config.secret_dict_certificate)
        )
        return Dict(config.dict_url, config.ispb, pool, seal=UNSEALED)
    pool = urllib3.PoolManager(maxsize=MAX_CONNECTIONS)
    return Dict((config.url_bacen or NOWHERE) + API, config.ispb, pool, seal=UNSEALED)


if __name__ == "__main__":
    settings.run(main)
