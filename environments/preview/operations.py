"""What `gobank preview` does: up, down, sweep. Every step may be the last one, and all can be done again.

Tags come first and nothing is made before them, so that whatever is left by a killed run is known by name,
time and owner: `up` goes on from there, `down` and `sweep` take it away.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from environments.preview import priority
from environments.preview.engine import Engine
from environments.preview.lifetime import lifetime
from environments.preview.names import Refused, digest, stack_name
from environments.preview.pulumi_cli import PulumiFailed
from environments.preview.record import Record, is_of
from environments.preview.remains import CannotTell
from environments.preview.settings import PROJECT, Wanted, base_configuration, preview_configuration
from environments.preview.stacks import Failed, Listed, Stacks
from environments.preview.sweep import PATIENCE, Due, Seen, due, unknown

if TYPE_CHECKING:
    from environments.preview.estimate import Estimate

Say = Callable[[str], None]
Listing = Callable[[str, str], Sequence[str]]
"""What AWS still has of a stack in a region, by its tags."""
DESTROYED = {f"{PROJECT}:imageSource": "given"}
"""All that the project demands of a stack file; what is taken down is in the state."""


@dataclass(frozen=True)
class Asked:
    """What `gobank preview up` was asked for. `branches` are the remote's, None when it was not reached."""

    branch: str
    ttl: str
    base: str
    pr: str
    owner: str
    images: Sequence[str]
    branches: Collection[str] | None


@dataclass(frozen=True)
class Planned:
    """A preview as it is to be."""

    record: Record
    before: Record | None
    configuration: Mapping[str, Any]
    base: Mapping[str, Any]
    exists: bool


@dataclass(frozen=True)
class Standing:
    """A preview that is up, and what it exports."""

    record: Record
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class Changes:
    """What an update would do to a stack that is there: the engine's steps, as it tells them: operation, type
    and name."""

    steps: Sequence[str]

    @property
    def resources(self) -> int:
        """How many resources the steps are about: one that is replaced takes three."""
        return len({step.partition(" ")[2] for step in self.steps})


class Previews:
    """The operations over one backend. `now` is the clock, `say` tells what is being done, `left` asks AWS
    what it has of a stack."""

    def __init__(
        self, root: Path, stacks: Stacks, now: Callable[[], datetime], say: Say, left: Listing
    ) -> None:
        self._root = root
        self._stacks = stacks
        self._now = now
        self._say = say
        self._left = left

    def planned(self, asked: Asked) -> Planned:
        """What `up` would make. Raises `Refused` with what cannot be; nothing is touched."""
        from environments.preview import bank  # noqa: PLC0415 (slow to import, and nothing to `down`)

        name = stack_name(asked.branch)
        now = self._now()
        ends = now + lifetime(asked.ttl)
        listed = self._stacks.listed()
        reference = self._stacks.reference(asked.base)
        base = bank.usable(self._stacks.outputs(reference).get("base"), reference)
        before = _same_branch(listed, name, asked.branch)
        stated = base_configuration(self._root, reference)
        if name not in listed.stacks:
            _room(listed, reference, int(stated.get(f"{PROJECT}:previews", 0)))
        others = [each.priority for each in listed.records if each.name != name]
        number = priority.choose(bank.priority(name), before.priority if before else None, others)
        wanted = Wanted(asked.branch, reference, asked.ttl, asked.pr, asked.owner, number, asked.images)
        configuration = preview_configuration(stated, wanted)
        bank.judge(configuration, name)
        record = Record(
            name=name,
            branch=asked.branch,
            digest=digest(asked.branch),
            pr=asked.pr,
            owner=asked.owner,
            base=reference,
            ttl=asked.ttl,
            created=before.created if before else now,
            expires=ends,
            priority=number,
            url=f"https://{name}{base['host_suffix']}",
            published=_published(asked, before),
            state="creating",
            since=now,
            usd_a_day=before.usd_a_day if before else None,
        )
        return Planned(record, before, configuration, base, name in listed.stacks)

    def rehearsed(self, plan: Planned) -> "Estimate | Changes":
        """What `up` would make of a stack that is not there, and do to one that is."""
        from environments.preview.estimate import drawn  # noqa: PLC0415 (slow to import)

        name = plan.record.name
        estimate = drawn(plan.record, plan.configuration, plan.base)  # and held to the rules
        if not plan.exists:
            return estimate
        folder = self._stacks.prepared(name, plan.configuration)
        steps: list[str] = []
        self._work(name, lambda: self._stacks.engine().preview(folder, name, steps.append), "be previewed")
        return Changes(tuple(steps))

    def up(self, plan: Planned) -> Standing:
        """Brings it up, whatever state it was in. Raises `Failed`."""
        from environments.preview.estimate import usd_a_day  # noqa: PLC0415 (slow to import)

        name, engine = plan.record.name, self._stacks.engine()
        folder = self._stacks.prepared(name, plan.configuration)
        self._work(name, lambda: engine.create(folder, name), "be created")
        self._stacks.note(plan.record, plan.before)
        if plan.exists:
            self._recovered(engine, plan.record, name, folder)
        try:
            outputs = self._stacks.unlocked(name, lambda: engine.up(folder, name, self._say), self._say)
        except PulumiFailed as failed:
            if not priority.in_use(str(failed)):
                raise Failed(_not_up(name, plan.record.branch, failed)) from None
            plan = self._moved(plan)
            outputs = self._work(name, lambda: engine.up(folder, name, self._say), "be brought up")
        resources = engine.resources(folder, name)
        cost = usd_a_day(resources, str(plan.configuration["aws:region"]))
        record = replace(plan.record.entering("up", self._now()), url=str(outputs["api_url"]), usd_a_day=cost)
        self._stacks.note(record, plan.record)
        return Standing(record, outputs)

    def down(self, name: str, branch: str | None) -> Sequence[str]:
        """Takes a preview away and shows that it is; gives what AWS still lists. Raises `Failed`.

        No harm where there is none: gives nothing.
        """
        listed = self._stacks.listed()
        if name not in listed.stacks:
            return ()
        record = _same_branch(listed, name, branch) if branch else listed.record(name)
        self._removed(name, record)
        if name in self._stacks.listed().stacks:
            raise Failed(f"{name} is still listed. Take it down again: gobank preview down --stack {name}")
        return () if record is None else self._left(name, _region(record, self._root))

    def swept(
        self, branches: Collection[str] | None, *, dry_run: bool
    ) -> tuple[list[Due], list[str], list[str]]:
        """Takes away what is due; gives that, what people must judge, and what failed. One failure stops
        no other removal."""
        listed = self._stacks.listed()
        seen = Seen(listed.records, listed.untold, branches, listed.stacks, self._now())
        found, failures = due(seen), []
        for each in [] if dry_run else found:
            self._say(f"{each.name}: {each.reason}")
            try:
                self._removed(each.name, listed.record(each.name), self._now() - PATIENCE)
            except (Failed, Refused) as failed:
                failures.append(str(failed))
        return found, unknown(seen), failures

    def listed(self) -> Listed:
        """All that there is."""
        return self._stacks.listed()

    def _removed(self, name: str, record: Record | None, abandoned: datetime | None = None) -> None:
        engine = self._stacks.engine()
        folder = self._stacks.prepared(name, DESTROYED)
        if record is not None and record.state != "removing":
            self._stacks.note(record.entering("removing", self._now()), record)
        self._recovered(engine, record, name, folder, abandoned)
        again = f"Take it down again: gobank preview down --stack {name}"
        self._work(name, lambda: engine.destroy(folder, name, self._say), "be taken down", again, abandoned)
        try:
            self._stacks.forget(name)
        except PulumiFailed as failed:
            raise Failed(f"{name} is empty and cannot be forgotten: {failed}\n{again}") from None

    def _recovered(
        self,
        engine: Engine,
        record: Record | None,
        name: str,
        folder: Path,
        abandoned: datetime | None = None,
    ) -> None:
        def arns() -> Sequence[str]:
            try:
                return () if record is None else self._left(name, _region(record, self._root))
            except CannotTell as reason:
                self._say(str(reason))
                return ()

        lost = self._work(
            name,
            lambda: engine.recover(folder, name, self._say, arns),
            "be recovered",
            abandoned=abandoned,
        )
        for each in lost:
            self._say(f"may exist on AWS beside the state, left by a killed run: {each}")

    def _moved(self, plan: Planned) -> Planned:
        """The same plan with the next free priority: somebody was faster."""
        taken = [each.priority for each in self._stacks.listed().records if each.name != plan.record.name]
        number = priority.choose(plan.record.priority % priority.LAST + 1, None, taken)
        self._say(f"priority {plan.record.priority} is in use; taking {number}")
        configuration = {**plan.configuration, f"{PROJECT}:rulePriority": number}
        self._stacks.prepared(plan.record.name, configuration)
        moved = replace(plan.record, priority=number)
        self._stacks.note(moved, plan.record)
        return replace(plan, record=moved, configuration=configuration)

    def _work(
        self,
        name: str,
        work: Callable[[], Any],
        what: str,
        then: str = "",
        abandoned: datetime | None = None,
    ) -> Any:
        try:
            return self._stacks.unlocked(name, work, self._say, abandoned)
        except PulumiFailed as failed:
            raise Failed(f"{name} could not {what}: {failed}\n{then}".rstrip()) from None


def _published(asked: Asked, before: Record | None) -> bool:
    """Whether the branch has been at the remote. One with a pull request has, and one that had been stays so
    when the remote cannot be asked: a job of CI may have no right to."""
    if asked.branches is not None:
        return asked.branch in asked.branches
    return bool(asked.pr) or (before is not None and before.published)


def _same_branch(listed: Listed, name: str, branch: str) -> Record | None:
    """The record under this name. Raises `Refused` when it is another branch's."""
    record = listed.record(name)
    if record is not None and not is_of(record, branch):
        raise Refused(
            f"--branch '{branch}': its preview would be called {name}, which branch '{record.branch}' has. "
            "Call the branch otherwise, or take the other preview down."
        )
    return record


def _room(listed: Listed, base: str, room: int) -> None:
    there = [f"{each.name} ({each.owner or each.branch})" for each in listed.records if each.base == base]
    if len(there) >= room:
        raise Refused(
            f"gobanking:previews of '{base}': it has room for {room} previews, and there are: "
            f"{', '.join(there) or 'none'}. Take one down, or make room: raise gobanking:previews there "
            "(and maxNodes with it)."
        )


def _region(record: Record, root: Path) -> str:
    try:
        return str(base_configuration(root, record.base).get("aws:region", ""))
    except Refused:
        return ""


def _not_up(name: str, branch: str, failed: PulumiFailed) -> str:
    return (
        f"{name} did not come up: {failed}\n"
        f"What stands is kept. When the cause is mended, go on: gobank preview up --branch '{branch}'. "
        f"Or take it away: gobank preview down --stack {name}"
    )
