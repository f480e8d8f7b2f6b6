"""The simulator as an application: all routers, and errors in the shapes that the standards give them."""

import asyncio

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from apps.kit import service
from apps.simulators.other_bank import admin_api, authorisation_api, data_api, payments_api, receiver_api
from apps.simulators.other_bank.answers import Refused, error_body
from apps.simulators.other_bank.authorisation import OAuthRefused
from apps.simulators.other_bank.banks import Banks
from apps.simulators.other_bank.fapi import Fapi, Wait
from apps.simulators.other_bank.requests import answer

BODY_LIMIT_BYTES = 64 * 1024


def create(banks: Banks, wait: Wait = asyncio.sleep) -> FastAPI:
    """The application of these banks."""
    app = service.create_app(
        "Other banks",
        "1",
        # The fixed paths before those that begin with a bank's name.
        [
            admin_api.router,
            receiver_api.router,
            authorisation_api.router,
            data_api.router,
            payments_api.router,
        ],
        state={"banks": banks},
        body_limit=BODY_LIMIT_BYTES,
    )

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return answer(error_body(error, banks.clock.now()), error.status)

    @app.exception_handler(OAuthRefused)
    async def oauth(_: Request, error: OAuthRefused) -> Response:
        return JSONResponse({"error": error.error, "error_description": error.description}, error.status)

    app.add_middleware(Fapi, banks=banks, wait=wait)
    return app
