"""All banks of one process, and the money that goes from one to another."""

from collections.abc import Sequence
from typing import Any

from apps.kit import outbound
from apps.kit.outbound import Send
from apps.simulators.other_bank.bank import Bank, incoming
from apps.simulators.other_bank.brands import Brand
from apps.simulators.other_bank.clock import Clock
from apps.simulators.other_bank.payments import Payment
from apps.simulators.other_bank.receiver import Receiver
from apps.simulators.other_bank.signatures import SigningKey
from apps.simulators.other_bank.spi import NoRail, Rail


class Banks:
    """The banks by slug. `key` signs for all of them: making one takes a while, and each has its own id.
    Among themselves they settle here; what leaves them goes by `rail`. Other banks' data they ask for by
    `send`."""

    def __init__(
        self,
        brands: Sequence[Brand],
        clock: Clock,
        key: SigningKey,
        rail: Rail | None = None,
        send: Send | None = None,
    ) -> None:
        self.clock = clock
        self._rail: Rail = rail or NoRail()
        self.by_slug = {each.slug: self._made(each, key) for each in brands}
        sender = send or outbound.sender()
        self.receivers = {slug: Receiver(bank, sender) for slug, bank in self.by_slug.items()}

    def settle(self, payment: Payment) -> None:
        """Credits the payee if one of these banks keeps the account."""
        payee = _payee(payment)
        bank = self.of(payee["ispb"])
        if bank is not None:
            bank.credit(payee["number"], incoming(payment, self.clock.now()))

    def of(self, ispb: str) -> Bank | None:
        """The bank with this ISPB, if it is one of these."""
        return next((each for each in self.by_slug.values() if each.brand.ispb == ispb), None)

    def judge(self, ispb: str, number: str, tax_id: str) -> str | None:
        """Why a payment that comes by the SPI is refused, by the codes of a pacs.002."""
        bank = self.of(ispb)
        found = bank.holder(number) if bank is not None else None
        if found is None:
            return "AC03"
        return None if found[0].cpf == tax_id else "BE01"

    def _made(self, brand: Brand, key: SigningKey) -> Bank:
        def settled(payment: Payment) -> bool | None:
            return True if self.of(_payee(payment)["ispb"]) else self._rail.settled(payment, brand)

        return Bank(brand, self.clock, key, settled, self.settle)

    def participants(self, base: str) -> list[dict[str, Any]]:
        """The directory of participants, in the shape of Open Finance Brasil's public one."""
        return [_participant(bank.brand, f"{base}/{slug}") for slug, bank in self.by_slug.items()]


def _payee(payment: Payment) -> dict[str, str]:
    found: dict[str, str] = payment.consent.order["payment"]["details"]["creditorAccount"]
    return found


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
