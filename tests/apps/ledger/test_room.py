"""Room for others on a balance: given once a process has written it several times running, for so long."""

from dataclasses import replace

import pytest

from apps.ledger.account import Balance, unopened
from apps.ledger.room import ACCOUNTS, LONGEST_SECONDS, REST_WRITES, RUNNING, Room

ANA = replace(unopened("ana", "ana", "2026-12-01T12:00:00.000000Z"), available=900, on_hold=100)
BRUNO = replace(ANA, account_id="bruno")
SEND_SECONDS = 0.02


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def room(clock: Clock) -> Room:
    return Room(clock)


def write(room: Room, balance: Balance, times: int, seconds: float = SEND_SECONDS) -> None:
    for _ in range(times):
        room.wrote([balance], seconds)


def test_who_writes_several_times_running_leaves_the_balance_to_others_for_some_writes(
    room: Room, clock: Clock
) -> None:
    write(room, ANA, RUNNING - 1)
    assert room.left_to_others(["ana"]) == 0
    write(room, ANA, 1)
    rest = room.left_to_others(["bruno", "ana"])
    assert SEND_SECONDS < rest <= REST_WRITES * SEND_SECONDS + 1e-9
    clock.now += rest
    assert room.left_to_others(["ana"]) == 0
    write(room, ANA, RUNNING - 1)
    assert room.left_to_others(["ana"]) == 0, "and then as many again"


def test_a_store_that_is_slow_makes_no_long_rest(room: Room) -> None:
    write(room, ANA, RUNNING, seconds=30)
    assert room.left_to_others(["ana"]) == pytest.approx(LONGEST_SECONDS)


def test_nobody_waits_for_money_on_a_balance_that_holds_none(room: Room) -> None:
    write(room, replace(ANA, on_hold=0), 3 * RUNNING)
    assert room.left_to_others(["ana"]) == 0
    write(room, ANA, RUNNING - 1)
    room.wrote([replace(ANA, on_hold=0)], SEND_SECONDS)
    write(room, ANA, 1)
    assert room.left_to_others(["ana"]) == 0, "all was settled in between"


def test_others_that_have_their_turns_need_no_room(room: Room) -> None:
    write(room, ANA, RUNNING - 1)
    room.moved(["ana"])
    write(room, ANA, RUNNING - 1)
    assert room.left_to_others(["ana"]) == 0
    write(room, ANA, 1)
    room.moved(["ana"])
    assert room.left_to_others(["ana"]) == 0, "whoever it was left to has been there"


def test_one_balance_rests_and_no_other(room: Room) -> None:
    for _ in range(RUNNING):
        room.wrote([ANA], SEND_SECONDS)
    room.wrote([BRUNO], SEND_SECONDS)
    assert room.left_to_others(["bruno"]) == 0
    assert room.left_to_others(["ana"]) > 0


def test_it_remembers_so_many_accounts_and_no_more(room: Room) -> None:
    write(room, ANA, RUNNING - 1)
    for number in range(ACCOUNTS):
        room.wrote([replace(ANA, account_id=f"another {number}")], SEND_SECONDS)
    write(room, ANA, RUNNING - 1)
    assert room.left_to_others(["ana"]) == 0, "what was known of it had to go"
