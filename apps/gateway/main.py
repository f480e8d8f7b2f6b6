"""The gateway: the only service that the outside reaches."""

from apps.gateway.api import Gateway, router
from apps.gateway.proxy import TOTAL_SECONDS
from apps.kit import logs, service, settings
from apps.kit.tokens import Verifier


class GatewaySettings(settings.ApiSettings):
    """What the gateway reads from its environment."""

    url_account: str
    url_transaction: str
    url_open_finance: str
    url_dict_key: str


def main() -> None:
    """Serves the public API."""
    config = settings.read(GatewaySettings)
    logs.configure(config.service, config.log_level)
    urls = {
        "account": config.url_account,
        "transaction": config.url_transaction,
        "open_finance": config.url_open_finance,
        "dict_key": config.url_dict_key,
    }
    gateway = Gateway(urls, total_seconds=TOTAL_SECONDS)
    app = service.create_app(
        "GO Banking",
        "1",
        [router],
        state={"gateway": gateway},
        verifier=Verifier(config.cognito_issuer, config.cognito_jwks_url, config.cognito_client_ids),
        # The gateway has a description of its own: the services' together.
        openapi_url=None,
        close=[gateway.close],
    )
    service.serve(app, config.host, config.port)


if __name__ == "__main__":
    settings.run(main)
