"""All banks of one process, and the money that goes from one to another."""

from collections.abc import Sequence
from typing import Any

from apps.simulators.other_bank.bank import Bank, incoming
from apps.simulators.other_bank.brands import Brand
from apps.simulators.other_bank.clock import Clock
from apps.simulators.other_bank.payments import Payment
from apps.simulators.other_bank.signatures import SigningKey


class Banks:
    """The banks by slug. `key` signs for all of them: making one takes a while, and each has its own id."""

    def __init__(self, brands: Sequence[Brand], clock: Clock, key: SigningKey) -> None:
        self.clock = clock
        self.by_slug = {each.slug: Bank(each, clock, key, self.settle) for each in brands}

    def settle(self, payment: Payment) -> None:
        """Credits the payee if one of these banks keeps the account; what leaves them goes by the SPI."""
        payee = payment.consent.order["payment"]["details"]["creditorAccount"]
        for bank in self.by_slug.values():
            if bank.brand.ispb == payee["ispb"]:
                bank.credit(payee["number"], incoming(payment, self.clock.now()))

    def participants(self, base: str) -> list[dict[str, Any]]:
        """The directory of participants, in the shape of Open Finance Brasil's public one."""
        return [_participant(bank.brand, f"{base}/{slug}") for slug, bank in self.by_slug.items()]


_FAMILIES = (
    ("consents", "3.0.0", "consents/v3/consents"),
    ("resources", "3.0.0", "resources/v3/resources"),
    ("accounts", "2.0.0", "accounts/v2/accounts"),
    ("payments-consents", "4.0.0", "payments/v4/consents"),
    ("payments-pix", "4.0.0", "payments/v4/pix/payments"),
)


def _participant(brand: Brand, url: str) -> dict[str, Any]:
    return {
        "OrganisationId": brand.organisation_id,
        "OrganisationName": brand.name,
        "RegistrationNumber": brand.cnpj,
        "Status": "Active",
        "AuthorisationServers": [
            {
                "AuthorisationServerId": brand.organisation_id,
                "CustomerFriendlyName": brand.name,
                "Issuer": url,
                "OpenIDDiscoveryDocument": f"{url}/.well-known/openid-configuration",
                "ApiResources": [
                    {
                        "ApiFamilyType": family,
                        "ApiVersion": version,
                        "Status": "Active",
                        "ApiDiscoveryEndpoints": [{"ApiEndpoint": f"{url}/open-banking/{path}"}],
                    }
                    for family, version, path in _FAMILIES
                ],
            }
        ],
    }
