"""What must happen without anybody asking: the DICT's list of claims read once a minute (its manual asks for
that), and what was left half done taken up. Every process of the service does it; each step is harmless
twice."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from apps.dict_key.claims import Claims
from apps.dict_key.registration import Registrations
from apps.dict_key.store import KeyStore
from apps.kit import metrics
from apps.kit.rounds import Rounds
from apps.ledger.transfer import iso

EVERY_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Chores:
    """A thread of its own, from `start` to `close`. `now` is the clock."""

    def __init__(
        self,
        store: KeyStore,
        registrations: Registrations,
        claims: Claims,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._registrations = registrations
        self._claims = claims
        self._now = now
        self._rounds = Rounds("chores", EVERY_SECONDS, self.once)

    def start(self) -> None:
        """Begins."""
        self._rounds.start()

    def close(self) -> None:
        """Ends, after what is at hand."""
        self._rounds.close()

    def once(self) -> None:
        """One round. What fails is said and comes again in the next round."""
        self._try("claims", self._claims.read_list)
        registrations: list[str] = []
        claims: list[str] = []
        try:
            registrations, claims = self._store.due(iso(self._now()))
        except Exception as error:  # noqa: BLE001 (the thread's border: the next round tries again)
            _log.warning("what is due is not known", extra={"error": type(error).__name__})
        for key_id in registrations:
            self._try("registration", partial(self._registrations.resume, key_id))
        for claim_id in claims:
            self._try("claim", partial(self._claims.resume, claim_id))

    def _try(self, what: str, chore: Callable[[], None]) -> None:
        if self._rounds.stopping:
            return
        try:
            chore()
        except Exception as error:  # noqa: BLE001 (the thread's border: the next round tries again)
            _log.warning("a chore was not done", extra={"chore": what, "error": type(error).__name__})
            metrics.emit("chores_failed", 1)
