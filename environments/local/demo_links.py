"""The second half of the demo: accounts at other banks, seen as one, paid from, and let go.

Money for an account here comes by the SPI, so that part is told only where the workers run that carry it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from environments.local.api import Api
from environments.local.other_banks import OtherBanks, agree
from environments.local.telling import DemoFailed, Teller, expect, reais, until

FROM, TO = "ipe", "caju"
"""The banks of the story, by the simulator's names."""
AMOUNT_CENTS = 10_000


@dataclass(frozen=True)
class Customer:
    """Somebody with an account here, and the CPF that other banks know too."""

    name: str
    cpf: str
    api: Api
    account: Mapping[str, Any]


class Links:
    """Tells it; `result` is what `--json` prints of it."""

    def __init__(self, description: Mapping[str, Any], teller: Teller) -> None:
        self._banks = OtherBanks(description["simulators"]["other_bank"]["url"])
        self._teller = teller
        self.result: dict[str, Any] = {}

    def tell(self, customer: Customer) -> None:
        """The whole of it. Raises `DemoFailed`."""
        say, chapter = self._teller.say, self._teller.chapter
        chapter(f"{customer.name} links accounts at two other banks")
        known = {each["slug"]: each for each in self._banks.all()}
        source, target = (self._linked(customer, known[slug]) for slug in (FROM, TO))
        self._show(customer, "Everything in one place")
        chapter(f"{reais(AMOUNT_CENTS)} from {source['institution']} to GO Banking: an ordinary Pix")
        self._initiate(customer, source, _bank_data(customer, customer.account, "99999010"))
        self._arrived(customer)
        chapter(f"{reais(AMOUNT_CENTS)} from GO Banking to {target['institution']}")
        self._send(customer, known[TO])
        self._show(customer, "After")
        chapter(f"{customer.name} ends the link to {source['institution']}")
        expect(customer.api.delete(f"/links/{source['link_id']}"), 204)
        left = self._view(customer)["accounts"]
        if any(each["link_id"] == source["link_id"] for each in left):
            raise DemoFailed("a link that has ended is still seen")
        say(f"204: {source['institution']} shows nothing any more, and nothing of it is kept here")
        self.result["institutions_left"] = sorted(each["institution"] for each in left)

    def _linked(self, customer: Customer, bank: Mapping[str, Any]) -> dict[str, Any]:
        self._banks.customer(bank["slug"], customer.cpf, customer.name)
        found = {each["name"]: each["bank"] for each in expect(customer.api.get("/banks"), 200).body["banks"]}
        asked = expect(customer.api.post("/links", {"bank": found[bank["name"]]}), 201).body
        back = agree(asked["authorisation_url"], customer.cpf)
        if back.status_code != 200:
            raise DemoFailed(f"{bank['name']} cannot be linked: {back.text}")
        link: dict[str, Any] = expect(customer.api.get(f"/links/{asked['link_id']}"), 200).body
        self._teller.say(f"{link['institution']}: {link['status']}, by consent on the bank's own page")
        return link

    def _initiate(self, customer: Customer, link: Mapping[str, Any], to: Mapping[str, Any]) -> None:
        wish = {
            "from_account": link["accounts"][0]["account_id"],
            "to": {"bank": dict(to)},
            "amount_cents": AMOUNT_CENTS,
        }
        started = expect(customer.api.post("/payment-initiations", wish), 201).body
        agree(started["authorisation_url"], customer.cpf)
        path = f"/payment-initiations/{started['payment_initiation_id']}"
        found = until(
            lambda: customer.api.get(path).body,
            lambda body: body["status"] not in {"AWAITING_AUTHORISATION", "PROCESSING"},
            "the payment from another bank was not decided",
        )
        if found["status"] != "SETTLED":
            raise DemoFailed(f"the payment from another bank is {found['status']}: {found['reason']}")
        self._teller.say(f"{found['status']} ({found['bank_status']} at the bank), {found['end_to_end_id']}")
        self.result["payment_initiation"] = found["status"]

    def _arrived(self, customer: Customer) -> None:
        path = f"/accounts/{customer.account['account_id']}/entries?limit=1"
        until(
            lambda: customer.api.get(path).body["entries"],
            lambda entries: entries and entries[0]["amount_cents"] == AMOUNT_CENTS,
            "the Pix from another bank was not credited",
        )
        self._teller.say("credited here, as any Pix is")

    def _send(self, customer: Customer, bank: Mapping[str, Any]) -> None:
        wish = {
            "from_account": customer.account["account_id"],
            "to": {"bank": self._there(customer, bank)},
            "amount_cents": AMOUNT_CENTS,
        }
        held = expect(customer.api.post("/transfers", wish), 201).body
        found = until(
            lambda: customer.api.get(f"/transfers/{held['transfer_id']}").body,
            lambda body: body["status"] in {"SETTLED", "REJECTED"},
            "the Pix to another bank was not decided",
        )
        if found["status"] != "SETTLED":
            raise DemoFailed(f"the Pix to another bank is {found['status']}: {found.get('reason')}")
        self._teller.say(f"{found['status']}, {found['end_to_end_id']}")
        self.result["pix_out"] = found["status"]

    def _there(self, customer: Customer, bank: Mapping[str, Any]) -> dict[str, str]:
        account = self._banks.customer(bank["slug"], customer.cpf, customer.name)["accounts"][0]
        number = account["number"] + account["check_digit"]
        there = {"branch": account["branch"], "number": number, "account_type": "CACC"}
        return _bank_data(customer, there, bank["ispb"])

    def _view(self, customer: Customer) -> dict[str, Any]:
        found: dict[str, Any] = expect(customer.api.get("/balances"), 200).body
        return found

    def _show(self, customer: Customer, title: str) -> None:
        view = self._view(customer)
        if view["total_cents"] != sum(each["available_cents"] for each in view["accounts"]):
            raise DemoFailed(f"the total is not what the accounts add up to: {view}")
        table = Table(title=f"{title}: {reais(view['total_cents'])}", title_justify="left")
        for column in ("", "available", "on hold"):
            table.add_column(column, justify="left" if not column else "right")
        for each in view["accounts"]:
            table.add_row(each["institution"], reais(each["available_cents"]), reais(each["on_hold_cents"]))
        self._teller.console.print(table)
        self.result["institutions"] = len(view["accounts"])


def _bank_data(customer: Customer, account: Mapping[str, Any], ispb: str) -> dict[str, str]:
    """An account of the customer as payments name one: no dash in its number."""
    return {
        "ispb": ispb,
        "branch": account["branch"],
        "number": account["number"].replace("-", ""),
        "account_type": account["account_type"],
        "tax_id": customer.cpf,
        "name": customer.name,
    }
