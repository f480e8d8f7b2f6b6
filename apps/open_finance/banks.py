"""The banks that we speak with in this process, each with what it has told us of itself."""

import threading
import time
from collections.abc import Callable

from apps.kit.outbound import Send
from apps.open_finance.bank import Bank
from apps.open_finance.calls import BankSilent
from apps.open_finance.institutions import Directory, Institution
from apps.open_finance.keys import Ourselves
from apps.open_finance.oauth import Clients, OAuth

MOST_AT_ONCE = 12
"""Statements, and balances, read from one bank at a time: one that hangs holds no more threads than that."""


class UnknownBank(Exception):  # noqa: N818
    """No such bank takes part."""


class Banks:
    """Banks by id, made when they are first asked for."""

    def __init__(
        self,
        directory: Directory,
        send: Send,
        us: Ourselves,
        clients: Clients,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.directory = directory
        self._send = send
        self._us = us
        self._clients = clients
        self._now = now
        self._lock = threading.Lock()
        self._known: dict[str, Bank] = {}
        self._places: dict[str, threading.BoundedSemaphore] = {}

    def find(self, bank_id: str) -> Bank:
        """The bank with this id, as the directory has it now. Raises `UnknownBank` or `DirectoryAway`."""
        institution = self.directory.find(bank_id)
        if institution is None:
            raise UnknownBank(bank_id)
        with self._lock:
            known = self._known.get(bank_id)
            if known is None or known.institution != institution:
                known = self._known[bank_id] = self._made(institution)
            return known

    def place(self, bank_id: str) -> "Place":
        """A place among the calls to a bank. Raises `BankSilent` when all are taken."""
        with self._lock:
            places = self._places.setdefault(bank_id, threading.BoundedSemaphore(MOST_AT_ONCE))
        return Place(places)

    def _made(self, institution: Institution) -> Bank:
        oauth = OAuth(institution, self._send, self._us, self._clients, now=self._now)
        return Bank(institution, self._send, self._us, oauth, self._now)


class Place:
    """A call's place, taken with `with` and given back at its end."""

    def __init__(self, places: threading.BoundedSemaphore) -> None:
        self._places = places

    def __enter__(self) -> None:
        if not self._places.acquire(blocking=False):
            raise BankSilent("too many calls wait for this bank")

    def __exit__(self, *_: object) -> None:
        self._places.release()
