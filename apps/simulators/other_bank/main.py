"""Other banks: data holders of Open Finance Brasil, for environments without real ones. One process plays
several, each below a path of its own. What they hold is in memory."""

import ssl
from typing import Self

import uvicorn
from pydantic import model_validator

from apps.kit import logs, outbound, service, settings
from apps.simulators.other_bank import brands
from apps.simulators.other_bank.app import create
from apps.simulators.other_bank.banks import Banks
from apps.simulators.other_bank.clock import Clock
from apps.simulators.other_bank.signatures import SigningKey
from apps.simulators.other_bank.spi import NoRail, Rail, Spi


class OtherBankSettings(settings.ServiceSettings):
    """What the simulator reads from its environment. With `tls_certificate`, `tls_key` and `tls_client_ca`
    (paths of PEM files) it serves by TLS and wants a certificate of that authority from whoever calls. What
    its customers pay elsewhere goes by the simulated SPI at `url_bacen`, where there is one."""

    brands: str | None = None
    url_bacen: str | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        given = {self.tls_certificate is None, self.tls_key is None, self.tls_client_ca is None}
        if len(given) > 1:
            raise ValueError("tls_certificate, tls_key and tls_client_ca: all three or none")
        return self


def main() -> None:
    """Serves the banks."""
    config = settings.read(OtherBankSettings)
    logs.configure(config.service, config.log_level)
    played = brands.read(config.brands) if config.brands is not None else brands.USUAL
    rail: Rail = Spi(outbound.sender(), config.url_bacen) if config.url_bacen is not None else NoRail()
    app = create(Banks(played, Clock(), SigningKey("banks"), rail))
    if config.tls_certificate is None:
        service.serve(app, config.host, config.port)
        return
    uvicorn.run(
        app,
        host=config.host,
        port=config.port,
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=config.tls_certificate,
        ssl_keyfile=config.tls_key,
        ssl_ca_certs=config.tls_client_ca,
        ssl_cert_reqs=ssl.CERT_REQUIRED,
    )


if __name__ == "__main__":
    settings.run(main)
