"""The OpenAPI documents that the services give of themselves."""

from typing import Any

from apps.account.api import router as accounts
from apps.account.limits_api import router as limits
from apps.dict_key.api import router as keys
from apps.kit.service import create_app
from apps.open_finance.api import router as open_finance
from apps.open_finance.holder.customer_api import router as consents
from apps.transaction.api import router as transfers
from apps.transaction.qr_codes_api import router as qr_codes


def of_services() -> dict[str, dict[str, Any]]:
    """By name, each freshly made."""
    routers = {
        "account": [accounts, limits],
        "transaction": [transfers, qr_codes],
        "open_finance": [open_finance, consents],
        "dict_key": [keys],
    }
    return {name: create_app(name, "1", mine).openapi() for name, mine in routers.items()}
