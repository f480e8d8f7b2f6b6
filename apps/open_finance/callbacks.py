"""What a browser brings back from a bank: taken once, for what it was sent away for, and for nothing else."""

from collections.abc import Callable
from datetime import datetime

from apps.open_finance.consent import Link
from apps.open_finance.initiations import Initiations
from apps.open_finance.links import CallbackRefused, Links, Returned
from apps.open_finance.payment import Initiation
from apps.open_finance.store import OpenFinanceStore


class Callbacks:
    """Finds what an answer is about by its state, which works once."""

    def __init__(
        self, store: OpenFinanceStore, links: Links, initiations: Initiations, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._links = links
        self._initiations = initiations
        self._now = now

    def take(self, returned: Returned) -> Link | Initiation:
        """The link or the payment that this answers. Raises `CallbackRefused`, and what banks raise."""
        pending = self._store.take(returned.state)
        if pending is None:
            raise CallbackRefused("state")
        if self._now().timestamp() >= pending.expires_at:
            # A payment's consent ends by itself, and no order is sent; one to read would last for months.
            if pending.kind == "link" and (link := self._links.store.link(pending.about)) is not None:
                self._links.late(link)
            raise CallbackRefused("too late")
        if pending.kind == "payment":
            return self._initiations.finish(pending.about, pending.asked, returned)
        return self._links.finish(pending.about, pending.asked, returned)
