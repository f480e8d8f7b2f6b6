"""The list of banks: its last good answer stands in for a bad one, and without any nothing is made up."""

import pytest

from apps.kit.outbound import Answer, Call, NoAnswer
from apps.open_finance.institutions import FRESH_SECONDS, Directory, DirectoryAway
from tests.apps.open_finance.stage import BANKS_URL, Stage

URL = f"{BANKS_URL}/directory/participants"


def test_a_directory_that_fails_later_keeps_its_last_good_answer(stage: Stage) -> None:
    clock = [0.0]
    directory = Directory(stage.wire.send, URL, lambda: clock[0])
    known = directory.all()
    assert len(known) == 5

    def bend(call: Call, answer: Answer) -> Answer:
        raise NoAnswer("gone")

    stage.wire.bend = bend
    clock[0] = FRESH_SECONDS + 1
    before = len(stage.wire.calls)
    assert directory.all() == known
    assert directory.find(known[0].bank_id) == known[0]
    assert len(stage.wire.calls) == before + 1, "a directory that fails is not asked for every bank"


@pytest.mark.parametrize("body", [None, b"", b"{}", b"[]", b'[{"OrganisationId": 1}]'], ids=str)
def test_a_directory_that_has_never_answered_is_away(body: bytes | None) -> None:
    def send(call: Call, seconds: float) -> Answer:
        if body is None:
            raise NoAnswer("refused", sent=False)
        return Answer(200, {}, body)

    directory = Directory(send, URL, lambda: 0.0)
    with pytest.raises(DirectoryAway):
        directory.all()
    with pytest.raises(DirectoryAway):
        directory.find("anybody")
