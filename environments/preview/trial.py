"""The smoke test with real clients: of any environment by its URL and pool; of a preview, audit included."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from environments.clock import Clock
from environments.local.api import Api
from environments.preview.audit_job import audited
from environments.preview.smoke import Smoke, Step, Verdict
from environments.preview.users import Pool, pool

if TYPE_CHECKING:
    from environments.preview.operations import Standing

Say = Callable[[Step], None]


def tried(url: str, users: Pool, audit: Callable[[], str], say: Say) -> Verdict:
    """How an environment does: its gateway's URL, its pool and the client in it, and what audits it.

    `audit` says how the ledger is, or raises `Broken` or `NotRun`.
    """
    return Smoke(users, lambda token: Api(url, token, trust_env=True), audit, Clock(), say).run()


def trial(standing: "Standing", say: Say) -> Verdict:
    """How a preview that is up does; its auditor runs in its own cluster."""
    outputs = standing.outputs
    users = pool(str(outputs["user_pool_id"]), str(outputs["app_client_id"]))
    return tried(standing.record.url, users, lambda: audited(outputs), say)
