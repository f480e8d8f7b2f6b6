"""Whose a lock is, and whether it is nobody's any more."""

from datetime import UTC, datetime, timedelta

import pytest

from environments.preview.locks import Holder, Machine, abandoned, holders, locked, named, stale

SINCE = datetime(2026, 11, 25, 11, tzinfo=UTC)
MESSAGE = """error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end \
or delete the lock file with `pulumi cancel`.
  s3://state/.pulumi/locks/organization/gobanking/pr-x-0a1b2c/1.json: created by ana@laptop (pid 4711) at \
2026-11-25T11:00:00Z
  s3://state/.pulumi/locks/organization/gobanking/pr-x-0a1b2c/2.json: created by @runner-1 (pid 1) at \
2026-11-25T08:00:00.123-03:00"""


def here(began: float | None, user: str = "ana", host: str = "laptop") -> Machine:
    return Machine(user, host, lambda _pid: began)


def test_holders_are_read_from_the_engines_message() -> None:
    assert locked(MESSAGE)
    first, second = holders(MESSAGE)
    assert first == Holder("ana", "laptop", 4711, SINCE)
    assert (second.user, second.host, second.pid) == ("", "runner-1", 1)
    assert (second.since - SINCE).total_seconds() == pytest.approx(0.123)


def test_a_backend_may_not_tell_who() -> None:
    message = "error: [409] Conflict: Another update is currently in progress."
    assert locked(message)
    assert holders(message) == []
    assert not stale([], here(None))
    assert "does not say whose" in named("pr-x-0a1b2c", [])
    assert not locked("error: no stack named 'x' found")


OURS = Holder("ana", "laptop", 4711, SINCE)


@pytest.mark.parametrize(
    ("machine", "is_stale"),
    [
        pytest.param(here(None), True, id="its process is gone"),
        pytest.param(here(SINCE.timestamp() + 3600), True, id="its number is another process's now"),
        pytest.param(here(SINCE.timestamp() - 10), False, id="it still works"),
        pytest.param(here(SINCE.timestamp() + 1), False, id="clocks differ a little"),
        pytest.param(here(None, user="bruno"), False, id="another user's"),
        pytest.param(here(None, host="desktop"), False, id="another machine's"),
    ],
)
def test_a_lock_is_stale_when_it_was_ours_and_its_process_is_gone(machine: Machine, is_stale: bool) -> None:
    assert stale([OURS], machine) == is_stale


def test_one_lock_of_another_is_enough() -> None:
    assert not stale([OURS, Holder("bruno", "desktop", 1, SINCE)], here(None))


def test_another_is_named_with_what_to_do() -> None:
    said = named("pr-x-0a1b2c", [OURS])
    assert "ana@laptop, process 4711, since 2026-11-25 11:00:00 UTC" in said
    assert "pulumi cancel --stack pr-x-0a1b2c" in said


def test_this_machine_knows_its_own_processes() -> None:
    machine = Machine.here()
    import os  # noqa: PLC0415

    assert machine.began(os.getpid()) is not None
    assert machine.began(2**22 + 1) is None


def test_a_lock_is_abandoned_when_all_who_hold_it_are_from_before() -> None:
    later = Holder("", "runner-1", 1, SINCE + timedelta(hours=1))
    assert abandoned([OURS], SINCE + timedelta(seconds=1))
    assert not abandoned([OURS], SINCE)
    assert not abandoned([OURS, later], SINCE + timedelta(seconds=1))
    assert not abandoned([], SINCE), "a backend that does not tell"
