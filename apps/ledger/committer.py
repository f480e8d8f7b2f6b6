"""Group commit: many transfers share one transaction, and each gets its own outcome.

A batch is decided by `group.fold`, sent, and sent again until all of it stands or has its answer:
- a transfer whose own item failed leaves the batch and starts again from its first read;
- a balance that has moved comes back with the refusal, and who is on it is decided again at once. Somebody's
  work was done meanwhile, so this ends; who waited, or read, would be too late again where others write;
- conflicts and throttling repeat the whole after a pause, and from the third time on its halves;
- an unknown outcome repeats the identical bytes under the identical token.
None of these fails anybody: a transfer fails by a rule, by its own deadline, or by a mistake in it, which
halving finds. Money is guarded by the conditions of the writes; the balances known here are only hints.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from apps.kit import dynamo
from apps.kit.dynamo import Cancelled, Client, Deadline, OutcomeUnknown, Sending, Unavailable, Undecidable
from apps.kit.turns import GoOn, Turn
from apps.ledger import group
from apps.ledger.account import Balance
from apps.ledger.group import Action, Batch, Decided, Writing
from apps.ledger.items import Mark
from apps.ledger.room import Room
from apps.ledger.transfer import Change, Transfer

BATCH = 33
"""Transfers that one BatchGetItem of a hundred keys reads: each with its payer and its payee."""
PATIENCE = 3
"""So often a batch is repeated as a whole for conflicts or throttling."""
KNOWN_BALANCES = 1_000
LOOK_SECONDS = 0.005
"""So long nobody is worked for when all who wait want balances that are left to others."""

Found = Transfer | Mark | None
Balances = Mapping[str, Balance | None]
"""`None`: there is no such account."""


class Unread:
    """Stands for what has not been read yet."""


UNREAD = Unread()


class Wish(Protocol):
    """What a caller wants of one transfer: which balances it concerns, what is to happen as they stand, and
    the items that are the transfer's own."""

    def accounts(self, found: Found | Unread) -> Iterable[str]: ...

    def decide(self, found: Found, balances: Mapping[str, Balance]) -> Decided: ...

    def own(self, change: Change) -> Sequence[Action]: ...


class Job(Turn[Transfer | None]):
    """One caller's wish, and what it knows. `unknown`: a send without a reply may have made it true."""

    def __init__(
        self,
        transfer_id: str,
        wish: Wish,
        deadline: Deadline,
        *,
        found: Found | Unread = UNREAD,
        balances: Balances | None = None,
    ) -> None:
        super().__init__(transfer_id, deadline)
        self.wish = wish
        self.found: Found | Unread = found
        self.balances: dict[str, Balance | None] = dict(balances or {})
        self.unknown = False
        self.tries = 0

    def accounts(self) -> Iterable[str]:
        """The balances that it concerns, as far as is known."""
        return self.wish.accounts(self.found)

    def decide(self, balances: Mapping[str, Balance]) -> Decided:
        """What is to be done, as things stand."""
        assert not isinstance(self.found, Unread)
        return self.wish.decide(self.found, balances)

    def own(self, change: Change) -> Sequence[Action]:
        """The writes of the transfer's own items."""
        return self.wish.own(change)

    def start_again(self) -> None:
        """What it knows has moved: its next attempt reads all of it."""
        self.found = UNREAD
        self.balances.clear()
        self.tries += 1

    def give_up(self) -> None:
        """Its time is over."""
        self.fail(Unavailable("contention"))

    def fail(self, error: BaseException) -> None:
        """The caller gets this raised; but nobody may say that nothing was done where a send may stand."""
        if self.unknown and isinstance(error, Unavailable):
            super().fail(OutcomeUnknown(*error.args))
        else:
            super().fail(error)


class Known:
    """The newest balances that this process has seen stand, and which of them are others' turn now. Many
    threads may use it."""

    def __init__(self, room: Room | None = None) -> None:
        self.room = room or Room()
        self._lock = threading.Lock()
        self._balances: OrderedDict[str, Balance] = OrderedDict()

    def learn(self, balances: Iterable[Balance]) -> None:
        """A transaction has made these stand."""
        with self._lock:
            for each in balances:
                known = self._balances.get(each.account_id)
                if known is None or known.seq < each.seq:
                    self._balances[each.account_id] = each
                    self._balances.move_to_end(each.account_id)
            while len(self._balances) > KNOWN_BALANCES:
                self._balances.popitem(last=False)

    def forget(self, account_ids: Iterable[str]) -> None:
        """Something else stands there."""
        with self._lock:
            for each in account_ids:
                self._balances.pop(each, None)

    def newest(self, read: Iterable[tuple[str, Balance | None]]) -> dict[str, Balance]:
        """Of each account the newest that was read or is known. What nobody has read is left out: a refusal
        needs a balance at least as new as its request."""
        newest: dict[str, Balance] = {}
        with self._lock:
            for account_id, balance in read:
                for each in (newest.get(account_id), self._balances.get(account_id), balance):
                    # Of two with the same number the read one counts: freezing raises none.
                    if each is not None and (account_id not in newest or each.seq >= newest[account_id].seq):
                        newest[account_id] = each
        return newest


Read = Callable[[Sequence[str], Sequence[str]], tuple[Mapping[str, Found], Balances]]
"""Reads what stands at these transfers' ids and on these accounts, in one call. Raises `Unavailable`."""


@dataclass
class _Part:
    """Jobs that are sent together. `conflicts` and `moves` count how often those, or a balance that was not
    any more what was read, have kept them back."""

    jobs: list[Job]
    conflicts: int = 0
    moves: int = 0

    @property
    def kept_back(self) -> int:
        """How often it was kept back."""
        return self.conflicts + self.moves

    def halves(self) -> "list[_Part]":
        """The same jobs in two parts, for which nothing is counted yet."""
        middle = len(self.jobs) // 2
        return [_Part(self.jobs[:middle]), _Part(self.jobs[middle:])]


class Committer:
    """Commits batches. Many threads may use it, each with a batch of its own."""

    def __init__(
        self,
        client: Client,
        read: Read,
        writing: Writing,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._monotonic = monotonic
        self._rest = rest
        self._read = read
        self._writing = writing

    def to_the_end(self, jobs: Sequence[Job], known: Known) -> None:
        """Works until each job is over. Who has started again too often goes on alone, after the others."""
        left = list(jobs)
        while left:
            left.sort(key=lambda job: job.tries)
            fewest = left[0].tries
            batch: dict[str, Job] = {}
            for job in left:
                if job is left[0] or (job.tries < PATIENCE and len(batch) < BATCH):
                    batch.setdefault(job.key, job)
            if fewest:
                dynamo.pause(fewest - 1)
            self._work(list(batch.values()), known, _nobody_waits, leave=False)
            left = [job for job in left if not job.over]

    def in_turn(self, jobs: Sequence[Job], known: Known, go_on: GoOn) -> None:
        """Works once for those who wait. Who is not over then starts again, with whoever comes; who is kept
        back again and again is left to its own caller. `go_on` is called once this may take long."""
        ready, rests = [], []
        for job in jobs:
            if job.tries >= PATIENCE:
                job.leave()
            elif rest := known.room.left_to_others(job.accounts()):
                rests.append(rest)
            else:
                ready.append(job)
        if ready:
            self._work(ready, known, go_on, leave=True)
        elif rests:
            self._rest(min(*rests, LOOK_SECONDS))

    def _work(self, jobs: list[Job], known: Known, go_on: GoOn, *, leave: bool) -> None:
        parts = deque([_Part(jobs)])
        while parts:
            part = parts.popleft()
            if part.conflicts:
                dynamo.pause(part.conflicts - 1)
            for job in part.jobs:
                if job.deadline.passed:
                    job.give_up()
            part.jobs = [job for job in part.jobs if not job.over]
            if not part.jobs:
                continue
            for each in self._tried(part, known, go_on):
                if each.kept_back >= PATIENCE:
                    go_on()
                    if leave and len(each.jobs) == 1:
                        each.jobs[0].leave()
                        continue
                # At the end: those who were not kept back wait for nobody who was.
                parts.append(each)

    def _tried(self, part: _Part, known: Known, go_on: GoOn) -> list[_Part]:
        """Reads, decides and sends once; gives what is to be tried again."""
        try:
            self._look(part.jobs)
            batch = self._folded(part, known)
            if not batch.changes:
                return []
            return self._committed(part, batch, known, go_on)
        except Exception as error:  # noqa: BLE001 (halving finds whose it is, and raises it there)
            return _divided(part, error)

    def _committed(self, part: _Part, batch: Batch[Job], known: Known, go_on: GoOn) -> list[_Part]:
        began = self._monotonic()
        try:
            stands = self._send(batch, go_on)
        except Cancelled as cancelled:
            for job, _ in batch.changes:
                job.unknown = job.unknown or cancelled.after_unknown
            if not cancelled.repeatable:
                return _divided(part, cancelled)
            return self._decided_again(part, batch, cancelled, known)
        except Unavailable:
            part.conflicts += 1
            return _patient(part)
        if stands:
            known.learn(batch.after.values())
            known.room.wrote(batch.after.values(), self._monotonic() - began)
            for job, change in batch.changes:
                job.answer(change.transfer)
            for job, refusal in batch.refused:
                job.fail(refusal)
        return []

    def _folded(self, part: _Part, known: Known) -> Batch[Job]:
        """Decides: answers those who need no write, and leaves in the part those whom the batch concerns."""
        jobs = [job for job in part.jobs if not job.over]
        newest = known.newest(pair for job in jobs for pair in job.balances.items())
        folded = group.fold(jobs, newest, self._writing)
        for job, answer in folded.answers:
            _end(job, answer)
        for job in folded.again:
            job.start_again()
        # Who has found no room comes with the next batch.
        sent = {job for job, _ in (*folded.batch.changes, *folded.batch.refused)}
        part.jobs = [job for job in jobs if job in sent]
        return folded.batch

    def _look(self, jobs: Sequence[Job]) -> None:
        """Reads what the jobs have not read: twice where only the transfer says which balances it concerns.

        Who needs something that cannot be read fails; the others go on.
        """
        for _ in range(2):
            missing = {
                job: [each for each in job.accounts() if each not in job.balances]
                for job in jobs
                if not job.over
            }
            readers = [job for job, ids in missing.items() if ids or isinstance(job.found, Unread)]
            if not readers:
                return
            try:
                found, balances = self._read(
                    [job.key for job in readers if isinstance(job.found, Unread)],
                    sorted({each for ids in missing.values() for each in ids}),
                )
            except Unavailable as error:
                for job in readers:
                    job.fail(error)
                return
            for job in readers:
                if isinstance(job.found, Unread):
                    job.found = found[job.key]
                job.balances |= {each: balances[each] for each in missing[job]}

    def _send(self, batch: Batch[Job], go_on: GoOn) -> bool:
        """Sends the batch, and while its outcome is unknown the identical bytes, until it is known or nobody
        waits for it any more. Gives whether it stands; raises `Cancelled`, `Unavailable` (nothing was ever
        accepted) or a mistake of ours."""
        sending = Sending(self._client, batch.actions)
        tries = 0
        while True:
            try:
                sending.send()
            except OutcomeUnknown as error:
                go_on()
                for job, _ in batch.changes:
                    job.unknown = True
                    if isinstance(error, Undecidable) or job.deadline.passed:
                        job.give_up()
                if all(job.over for job, _ in batch.changes):
                    return False
                dynamo.pause(tries)
                tries += 1
            else:
                return True

    def _decided_again(
        self, part: _Part, batch: Batch[Job], cancelled: Cancelled, known: Known
    ) -> list[_Part]:
        """What a cancelled batch leaves to be tried again now: with the balances that stood in its way, or
        with what is to be read anew forgotten."""
        verdict = group.verdict(batch, [reason.code for reason in cancelled.reasons])
        told = {
            owner: self._writing.told(reason.item)
            for owner, reason in zip(batch.owners, cancelled.reasons, strict=False)
            if isinstance(owner, str) and reason.item is not None
        }
        for job in verdict.out:
            job.start_again()
        known.forget(verdict.stale)
        known.learn(told.values())
        known.room.moved(verdict.stale)
        part.jobs = [job for job in part.jobs if job not in verdict.out]
        on_stale = [job for job in part.jobs if not verdict.stale.isdisjoint(job.accounts())]
        for job in on_stale:
            for each in verdict.stale.intersection(job.balances):
                del job.balances[each]
                if each in told:
                    job.balances[each] = told[each]
        if verdict.contended:
            part.conflicts += 1
            return _patient(part)
        if not verdict.stale:
            return [part] if part.jobs else []
        part.moves += 1
        others = [job for job in part.jobs if job not in on_stale]
        if part.moves == 1 or not others or not on_stale:
            return [part] if part.jobs else []
        # Somebody else is at work on these balances again: the others need not wait for that.
        return [_Part(others), _Part(on_stale, part.conflicts, part.moves)]


def _patient(part: _Part) -> list[_Part]:
    """Conflicts and throttling: the whole again, and after the third time its halves."""
    if part.conflicts >= PATIENCE and len(part.jobs) > 1:
        return part.halves()
    return [part] if part.jobs else []


def _divided(part: _Part, error: Exception) -> list[_Part]:
    """A mistake of ours, or an item that cannot be read, in one of these: the halves tell in which, and only
    that one fails."""
    if len(part.jobs) > 1:
        return part.halves()
    for job in part.jobs:
        job.fail(OutcomeUnknown() if job.unknown else error)
    return []


def _end(job: Job, answer: Transfer | Exception | None) -> None:
    if isinstance(answer, Exception):
        job.fail(answer)
    else:
        job.answer(answer)


def _nobody_waits() -> None:
    """Whom to let go on, where there is no queue."""
