"""Looking into topics without a group, and putting a dead letter back: on a fake and on real brokers."""

import base64
from dataclasses import replace

import pytest

from apps.kit.events import Event, Record, encode
from apps.kit.kafka import Delivery, ForbiddenTopic
from apps.kit.worker import Poison
from apps.operators import tail
from apps.operators.dead_letters import DeadLetters
from tests.apps.kit.fake_kafka import running, until
from tests.contract.kafka_brokers import Place

HELD = "br.gobanking.transfer.held"
EVENT = Event(
    "one", HELD, 1, "/ledger", "transfer/1", "2026-11-25T03:00:00Z", {"description": "Almoço"}, "req-1"
)


def event(name: str, key: str = "k") -> Record:
    return encode(replace(EVENT, id=name), "transfers", key)


def put(place: Place, *records: Record) -> list[Delivery]:
    return place.producer(place.settings("relay_outbox")).send(records)


def names(place: Place, last: int | None = None) -> list[str]:
    found = place.reader(place.settings("operators")).stored("transfers", last=last)
    return [dict(each.headers)["ce_id"].decode() for each in found if dict(each.headers)["ce_id"]]  # type: ignore[union-attr]


def test_everything_in_a_topic_is_read_and_nothing_is_taken(place: Place) -> None:
    put(place, *[event(f"{number}", f"key-{number % 5}") for number in range(20)])
    for _ in range(2):
        assert sorted(names(place), key=int) == [f"{number}" for number in range(20)]


def test_an_empty_topic_is_read_to_its_end(place: Place) -> None:
    assert names(place) == []


def test_the_newest_of_each_partition_are_read(place: Place) -> None:
    put(place, *[event(f"{number}") for number in range(5)])
    assert names(place, last=2) == ["3", "4"]
    assert names(place, last=50) == ["0", "1", "2", "3", "4"]


def test_a_topic_that_is_not_listed_is_refused(place: Place) -> None:
    reader = place.reader(place.settings("operators", KAFKA_READS="transfers"))
    with pytest.raises(ForbiddenTopic):
        reader.stored("transfers.dead-letter")


def test_one_record_is_found_by_its_place(place: Place) -> None:
    placed = put(place, *[event(f"{number}") for number in range(3)])
    reader = place.reader(place.settings("operators"))
    found = reader.one("transfers", placed[1].partition, placed[1].offset)
    assert found is not None
    assert found.value == event("1").value
    assert found.headers == event("1").headers
    assert found.key == b"k"
    assert reader.one("transfers", placed[2].partition, placed[2].offset + 1) is None
    assert reader.one("transfers", 99, 0) is None


def test_the_relay_finds_what_it_sent_and_a_partition_begins_where_it_began(place: Place) -> None:
    (placed,) = put(place, event("first"))
    reader = place.reader(place.settings("relay_outbox"))
    found = reader.one("transfers", placed.partition, placed.offset)
    assert found is not None
    assert dict(found.headers)["ce_id"] == b"first"
    assert not reader.begins_after("transfers", placed.partition, placed.offset)
    assert not reader.begins_after("transfers", 99, 0)
    assert reader.begins_after("transfers", placed.partition, -1)


def test_following_shows_the_newest_and_then_what_comes(place: Place) -> None:
    put(place, event("old"), event("newer"))
    reader = place.reader(place.settings("operators"))
    seen = reader.follow("transfers", 1, lambda: False)
    assert next(seen).headers[1] == ("ce_id", b"newer")
    put(place, event("new"))
    assert next(seen).headers[1] == ("ce_id", b"new")


def test_a_tail_ends_with_the_newest_and_masks_what_a_person_wrote(place: Place) -> None:
    put(place, event("one"))
    reader = place.reader(place.settings("operators"))
    (line,) = tail.lines(reader, 5, follow=False, stopped=lambda: False, as_json=False)
    assert "br.gobanking.transfer.held v1" in line
    assert "description=A***" in line
    assert "Almoço" not in line


def test_a_dead_letter_keeps_everything_and_goes_back_as_it_was(place: Place) -> None:
    sick = event("sick")
    (stood,) = put(place, sick)
    mended = False
    handled: list[str] = []

    def handle(seen: Event) -> None:
        if not mended:
            raise Poison("the ledger does not know it")
        handled.append(seen.id)

    letters = DeadLetters(
        place.reader(place.settings("operators")), place.producer(place.settings("operators"))
    )
    with running(place.worker({HELD: (1, handle)})):
        until(lambda: len(letters.all()) == 1)
        (letter,) = letters.all()
        assert (letter.reason, letter.partition, letter.offset) == (
            "the ledger does not know it",
            stood.partition,
            stood.offset,
        )
        assert (letter.record.key, letter.record.value, letter.headers) == (
            b"k",
            sick.value,
            sick.headers,
        )
        whole = letters.find(letter.id).whole(raw=True)
        assert base64.b64decode(str(whole["value_base64"])) == sick.value
        shown = letters.find(letter.id).whole(raw=False)
        assert shown["value"] == {"description": "A***"}
        mended = True
        replayed = letters.replay(letter.id)
        until(lambda: handled == ["sick"])
    assert replayed["replayed_to"] == {
        "topic": letter.topic,
        "partition": stood.partition,
        "offset": stood.offset + 1,
    }
    back = place.records("transfers")[-1]
    assert (back.key, back.value, tuple(back.headers)) == (b"k", sick.value, sick.headers)
    assert len(letters.all()) == 1


@pytest.mark.parametrize("letter_id", ["0:0", "7:0", "0", "one", "0:-1", ""])
def test_a_dead_letter_that_is_not_there_is_said_to_be_unknown(place: Place, letter_id: str) -> None:
    letters = DeadLetters(
        place.reader(place.settings("operators")), place.producer(place.settings("operators"))
    )
    with pytest.raises(LookupError, match=letter_id or "names no"):
        letters.find(letter_id)
