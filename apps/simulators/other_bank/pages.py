"""The bank's authorisation page: who are you, and what do you allow. Plain forms, no script."""

from collections.abc import Sequence
from html import escape

from apps.simulators.other_bank.brands import Brand
from apps.simulators.other_bank.consents import Consent
from apps.simulators.other_bank.customers import Account


def sign_in(brand: Brand, visit: str, message: str = "") -> str:
    """Asks for CPF and password."""
    return _page(
        brand,
        f"""<p role="alert">{escape(message)}</p>
<form method="post" action="/{brand.slug}/authorize/login">
<input type="hidden" name="visit" value="{escape(visit)}">
<label>CPF <input name="cpf" inputmode="numeric" required></label>
<label>Senha <input name="password" type="password" required></label>
<button>Entrar</button></form>""",
    )


def decide(brand: Brand, visit: str, client: str, consent: Consent, accounts: Sequence[Account]) -> str:
    """Asks which accounts, and whether at all."""
    kind = "radio" if consent.kind == "payment" else "checkbox"
    choices = "\n".join(
        f'<label><input type="{kind}" name="account" value="{escape(each.account_id)}">'
        f" {escape(each.type)} {escape(each.branch)}/{escape(each.number)}-{escape(each.check_digit)}</label>"
        for each in accounts
    )
    return _page(
        brand,
        f"""<p>{escape(client)} pede: {escape(_asked(consent))}</p>
<form method="post" action="/{brand.slug}/authorize/decision">
<input type="hidden" name="visit" value="{escape(visit)}">
{choices}
<button name="decision" value="approve">Autorizar</button>
<button name="decision" value="deny">Recusar</button></form>""",
    )


def failed(brand: Brand, message: str) -> str:
    """Says that it cannot go on, where no client may be told."""
    return _page(brand, f'<p role="alert">{escape(message)}</p>')


def _asked(consent: Consent) -> str:
    if consent.kind == "payment":
        amount = consent.order["payment"]["amount"]
        return f"pagar {amount} BRL a {consent.order['creditor']['name']}"
    return ", ".join(consent.permissions)


def _page(brand: Brand, body: str) -> str:
    return f"""<!doctype html><html lang="pt-BR"><meta charset="utf-8"><title>{escape(brand.name)}</title>
<h1>{escape(brand.name)}</h1>
{body}
</html>"""
