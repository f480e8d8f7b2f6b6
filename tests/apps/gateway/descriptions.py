"""The OpenAPI documents that the services give of themselves."""

from typing import Any

from apps.account.api import router as accounts
from apps.dict_key.api import router as keys
from apps.kit.service import create_app
from apps.open_finance.api import router as open_finance
from apps.transaction.api import router as transfers


def of_services() -> dict[str, dict[str, Any]]:
    """By name, each freshly made."""
    routers = {"account": accounts, "transaction": transfers, "open_finance": open_finance, "dict_key": keys}
    return {name: create_app(name, "1", [router]).openapi() for name, router in routers.items()}
