"""Accounts in an operator's hands: `block`, `unblock`, and `unfreeze` for one that a clean audit clears."""

from apps.kit.dynamo import Deadline
from apps.ledger import account
from apps.ledger.account import Refusal
from apps.ledger.audit import Auditor
from apps.ledger.store import Ledger, StatusRule
from apps.operators.outcome import DONE, NOT_SOUND, UNKNOWN, Outcome, failed, said

SECONDS = 10.0
RULES: dict[str, StatusRule] = {"block": account.block, "unblock": account.unblock}
COMMANDS = (*RULES, "unfreeze")


def change(command: str, account_id: str, ledger: Ledger, auditor: Auditor, *, as_json: bool) -> Outcome:
    """Blocks, unblocks or unfreezes an account. What is so already stays so, and that is said."""
    try:
        if command == "unfreeze":
            return _unfreeze(account_id, auditor, as_json=as_json)
        return _change_status(command, account_id, ledger, as_json=as_json)
    except LookupError as error:
        return failed("account_not_found", str(error.args[0]), UNKNOWN, as_json=as_json)
    except Refusal as refusal:
        return failed(refusal.code, f"{account_id}: {refusal}", NOT_SOUND, as_json=as_json)


def _change_status(command: str, account_id: str, ledger: Ledger, *, as_json: bool) -> Outcome:
    balance, changed = ledger.change_status(account_id, RULES[command], Deadline.after(SECONDS))
    document = {"account_id": account_id, "status": balance.status, "changed": changed}
    text = f"{account_id} is {balance.status}{'' if changed else ', as it was'}"
    return said(document, text, DONE, as_json=as_json)


def _unfreeze(account_id: str, auditor: Auditor, *, as_json: bool) -> Outcome:
    drift = auditor.unfreeze(account_id)
    document = {
        "account_id": account_id,
        "frozen": bool(drift),
        "drift": [{"what": each.what, "detail": each.detail} for each in drift],
    }
    if drift:
        text = "\n".join(["still frozen:", *(str(each) for each in drift)])
        return said(document, text, NOT_SOUND, as_json=as_json)
    return said(document, f"{account_id} moves again", DONE, as_json=as_json)
