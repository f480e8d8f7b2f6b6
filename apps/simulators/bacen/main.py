"""The simulator of Bacen: builds it and serves until told to stop. What it held is gone then."""

from random import SystemRandom

from apps.kit import logs, service, settings
from apps.simulators.bacen.app import bacen_app
from apps.simulators.bacen.bacen import Bacen

SEED = 20201116
"""The day on which Pix began: the same country in every environment."""


class BacenSettings(settings.ServiceSettings):
    """What the simulator reads from its environment. `ispb` is the bank that it serves."""

    ispb: str


def main() -> None:
    """Serves the DICT and the SPI."""
    config = settings.read(BacenSettings)
    logs.configure(config.service, config.log_level)
    bacen = Bacen(SEED, frozenset({config.ispb}), chance=SystemRandom())
    service.serve(bacen_app(bacen, config.ispb), config.host, config.port)


if __name__ == "__main__":
    settings.run(main)
