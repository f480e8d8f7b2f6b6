"""The simulator of Bacen: builds it and serves until told to stop. What it held is gone then."""

from random import SystemRandom

from apps.kit import logs, outbound, service, settings
from apps.simulators.bacen.app import bacen_app
from apps.simulators.bacen.bacen import Bacen
from apps.simulators.bacen.neighbours import Neighbours, Nobody, OverHttp

SEED = 20201116
"""The day on which Pix began: the same country in every environment."""


class BacenSettings(settings.ServiceSettings):
    """What the simulator reads from its environment. `ispb` is the bank that it serves; at `url_other_bank`
    are banks that another simulator plays."""

    ispb: str
    url_other_bank: str | None = None


def main() -> None:
    """Serves the DICT and the SPI."""
    config = settings.read(BacenSettings)
    logs.configure(config.service, config.log_level)
    url = config.url_other_bank
    neighbours: Neighbours = OverHttp(outbound.sender(), url) if url is not None else Nobody()
    bacen = Bacen(SEED, frozenset({config.ispb}), chance=SystemRandom(), neighbours=neighbours)
    service.serve(bacen_app(bacen, config.ispb), config.host, config.port)


if __name__ == "__main__":
    settings.run(main)
