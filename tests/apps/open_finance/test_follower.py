"""A payment comes to its end although nobody looks, whoever follows it and however often."""

import time
from typing import Any

import pytest

from apps.open_finance import follower
from apps.open_finance.due import DueLooks
from apps.open_finance.follower import Follower
from apps.simulators.other_bank.faults import Fault, FaultPlan
from tests.apps.open_finance.stage import CPFS, IPE, JATOBA, Stage, staged
from tests.apps.open_finance.test_initiations import agreed, asked, spent
from tests.apps.serving import ANA


def listed(stage: Stage) -> list[tuple[str, str | None]]:
    """Status and reason of all initiations, as a list shows them without asking any bank."""
    found = stage.get("/payment-initiations").json()["payment_initiations"]
    return [(each["status"], each["reason"]) for each in found]


def due(stage: Stage) -> list[str]:
    """Which initiations are followed."""
    return [item["initiation_id"]["S"] for item in stage.items() if item["sk"]["S"] == "DUE"]


def follow(stage: Stage, minutes: float) -> None:
    """So much time in which only the follower looks."""
    for _ in range(int(minutes * 12)):
        stage.time.skip(seconds=5)
        stage.follow()


def test_a_payment_is_settled_although_nobody_looks(stage: Stage) -> None:
    agreed(stage, asked(stage))
    assert listed(stage) == [("PROCESSING", None)]
    follow(stage, 1)
    assert listed(stage) == [("SETTLED", None)]
    assert due(stage) == []
    calls = len(stage.wire.calls)
    follow(stage, 1)
    assert len(stage.wire.calls) == calls, "what is final is not followed"


def test_an_order_that_never_arrived_is_sent_although_nobody_looks(stage: Stage) -> None:
    initiation = asked(stage)
    stage.wire.dead.add("/pix/payments")
    agreed(stage, initiation)
    follow(stage, 20)
    assert (stage.bank(IPE).payments, spent(stage)) == ({}, 0)
    stage.wire.dead.clear()
    follow(stage, 20)
    assert listed(stage) == [("SETTLED", None)]
    assert (len(stage.bank(IPE).payments), spent(stage)) == (1, 5_000)


def test_an_order_whose_consent_ran_out_ends_although_nobody_looks(stage: Stage) -> None:
    initiation = asked(stage)
    stage.wire.dead.add("/pix/payments")
    agreed(stage, initiation)
    stage.time.skip(minutes=61)
    stage.wire.dead.clear()
    stage.follow()
    assert [status for status, _ in listed(stage)] == ["REJECTED"]
    assert (stage.bank(IPE).payments, due(stage)) == ({}, [])
    kept = f"LINK#{initiation['payment_initiation_id']}"
    assert not [item for item in stage.items() if item["pk"]["S"] == kept]


def test_an_order_whose_token_is_refused_ends_when_its_consent_has(stage: Stage) -> None:
    initiation = asked(stage)
    stage.wire.dead.add("/pix/payments")
    agreed(stage, initiation)
    stage.wire.dead.clear()
    stage.bank(IPE).oauth._refresh.clear()
    stage.time.skip(minutes=30)
    stage.follow()
    assert listed(stage) == [("PROCESSING", None)], "the order may still have been taken"
    stage.time.skip(minutes=31)
    stage.follow()
    assert listed(stage) == [("REJECTED", "invalid_grant")]


def test_a_scheduled_payment_is_settled_on_its_day_and_seldom_looked_at_before(stage: Stage) -> None:
    agreed(stage, asked(stage, scheduled_for="2026-11-27"))
    stage.time.skip(minutes=1)
    stage.follow()
    calls = len(stage.wire.calls)
    for _ in range(24):
        stage.time.skip(hours=1)
        stage.follow()
    assert listed(stage) == [("SCHEDULED", None)]
    assert len(stage.wire.calls) - calls <= 10
    stage.time.skip(hours=16)
    for _ in range(3):
        stage.follow()
        stage.time.skip(minutes=1)
    assert listed(stage) == [("SETTLED", None)]


def test_looks_become_seldom_where_a_payment_is_held_for_long(stage: Stage) -> None:
    stage.bank(IPE).faults.plan(FaultPlan(lies={"stuck"}))
    agreed(stage, asked(stage))
    before = stage.wire.asked("/pix/payments/")
    follow(stage, 120)
    assert 10 <= stage.wire.asked("/pix/payments/") - before <= 25


def test_a_bank_that_is_silent_keeps_nobody_elses_payment_waiting(stage: Stage) -> None:
    for _ in range(3):
        agreed(stage, asked(stage, IPE))
    agreed(stage, asked(stage, JATOBA))
    stage.bank(IPE).faults.plan(FaultPlan(faults=[Fault(path="/pix/payments", status=503)]))
    before = stage.wire.asked("/ipe/open-banking/payments/v4/pix/payments")
    stage.time.skip(seconds=5)
    stage.follow()
    assert stage.wire.asked("/ipe/open-banking/payments/v4/pix/payments") == before + 1
    assert sorted(status for status, _ in listed(stage)) == ["PROCESSING"] * 3 + ["SETTLED"]


def test_of_two_followers_one_looks(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.bank(IPE).faults.plan(FaultPlan(faults=[Fault(path="/pix/payments", lose_answer=True, times=1)]))
    agreed(stage, asked(stage))
    stage.time.skip(seconds=5)
    before = stage.wire.asked("/pix/payments")
    take = DueLooks.take

    def slower(self: DueLooks, *planned: Any) -> bool:
        """Another replica has read the same index and goes first."""
        monkeypatch.setattr(DueLooks, "take", take)
        stage.follow()
        return take(self, *planned)

    monkeypatch.setattr(DueLooks, "take", slower)
    stage.follow()
    assert stage.wire.asked("/pix/payments") == before + 1
    follow(stage, 1)
    assert listed(stage) == [("SETTLED", None)]
    assert (len(stage.bank(IPE).payments), spent(stage)) == (1, 5_000)


def test_a_yes_whose_process_died_at_once_is_followed_no_longer_than_it_counts(stage: Stage) -> None:
    initiation = asked(stage)
    location = stage.browser.agree(initiation["authorisation_url"], CPFS[ANA], first_only=True)
    put = stage.dynamo.put_item

    def dying(**request: Any) -> Any:
        if request["Item"].get("status") == {"S": "PROCESSING"}:
            raise RuntimeError("the end of this process")
        return put(**request)

    stage.dynamo.put_item = dying  # type: ignore[method-assign]
    assert stage.come_back(location).status_code == 500
    stage.dynamo.put_item = put  # type: ignore[method-assign]
    assert len(due(stage)) == 1
    follow(stage, 7)
    assert (listed(stage), due(stage)) == ([("EXPIRED", None)], [])


def test_the_thread_follows_by_itself_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "EVERY_SECONDS", 0.01)
    with staged(fresh_seconds=0, bank_deadline_ms=30_000) as stage:
        agreed(stage, asked(stage))
        thread: Follower = stage.api.app.state.follower  # type: ignore[attr-defined]
        thread.start()
        ends = time.monotonic() + 30
        while listed(stage) != [("SETTLED", None)] and time.monotonic() < ends:
            stage.time.skip(seconds=5)
            time.sleep(0.02)
        thread.close()
        assert listed(stage) == [("SETTLED", None)]
