"""The application: the DICT, the SPI and the simulator's own buttons, behind a wire that may fail."""

import asyncio

from fastapi import FastAPI

from apps.kit import service
from apps.simulators.bacen import admin_api, dict_api, icom_api
from apps.simulators.bacen.bacen import Bacen
from apps.simulators.bacen.dict_desk import DictDesk
from apps.simulators.bacen.wire import FaultyWire, Sleep

BODY_LIMIT_BYTES = 512 * 1024


def bacen_app(bacen: Bacen, own: str, sleep: Sleep = asyncio.sleep) -> FastAPI:
    """Serves a Bacen to the bank `own`. No caller is verified: who that is, the wire says on the RSFN."""
    app = service.create_app(
        "Bacen, simulated",
        "1",
        [dict_api.router, icom_api.router, admin_api.router],
        state={"bacen": bacen, "dict_desk": DictDesk(bacen, own)},
        body_limit=BODY_LIMIT_BYTES,
        openapi_url=None,
    )
    app.add_middleware(FaultyWire, faults=bacen.faults, sleep=sleep)
    return app
