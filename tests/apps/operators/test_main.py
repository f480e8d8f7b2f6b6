"""What an operator types, and what comes back."""

import base64
import json
from datetime import timedelta

import pytest

from apps.account.account import grant_id
from apps.kit.kafka import Producer
from apps.kit.settings import KafkaSettings, read
from apps.kit.topics import TopicReader
from apps.ledger import items
from apps.ledger.reading import Reader
from apps.operators.dead_letters import DeadLetters
from apps.operators.main import Tools, parser, run
from apps.operators.outcome import Outcome
from apps.operators.trace import Tracer
from tests.apps.kit.fake_kafka import FakeBroker
from tests.apps.kit.faulty_dynamo import Faulty, refuse
from tests.apps.ledger.bank import Bank, bank_on, fake_bank

DEAD = "transfers.dead-letter"
WRITTEN = [
    ("dl_reason", b"no such transfer"),
    ("dl_topic", b"transfers"),
    ("dl_partition", b"3"),
    ("dl_offset", b"17"),
    ("dl_at", b"2026-11-25T12:00:00.000+00:00"),
]
SETTINGS = read(
    KafkaSettings,
    {
        "SERVICE": "operators",
        "ENVIRONMENT": "test",
        "AWS_REGION": "sa-east-1",
        "KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "KAFKA_SECURITY": "PLAINTEXT",
        "KAFKA_PRODUCES": "transfers",
        "KAFKA_READS": f"transfers,{DEAD}",
        "TOPIC_TRANSFERS": "transfers",
        "TOPIC_TRANSFERS_DEAD_LETTER": DEAD,
    },
)


@pytest.fixture
def bank() -> Bank:
    return fake_bank()


@pytest.fixture
def kafka() -> FakeBroker:
    return FakeBroker({"transfers": 6, DEAD: 1})


def typed(bank: Bank, *words: str, kafka: FakeBroker | None = None) -> Outcome:
    broker = kafka or FakeBroker({"transfers": 6, DEAD: 1})
    reader = TopicReader(SETTINGS, broker.reader)
    ledger = bank.ledger
    tools = Tools(
        auditor=bank.auditor,
        ledger=ledger,
        tracer=Tracer(
            ledger,
            Reader(bank.client, bank.tables, ledger.clock, lambda: None),
            bank.outbox,
            1,
            timedelta(days=7),
        ),
        letters=DeadLetters(reader, Producer(SETTINGS, broker.producer)),
        reader=reader,
    )
    return run(parser().parse_args(words), tools)


def die(kafka: FakeBroker, value: bytes = b'{"description":"Almo"}', written: object = WRITTEN) -> None:
    """What a worker does with a record that it can never handle."""
    headers = [("ce_type", b"br.gobanking.transfer.held"), ("ce_id", b"one")]
    kafka.append(DEAD, b"k", value, [*headers, *written])  # type: ignore[misc]


def tamper(bank: Bank, account_id: str, available: int) -> None:
    place = {"TableName": bank.tables.accounts, "Key": items.balance_key(account_id)}
    item = bank.raw.get_item(**place)["Item"]
    bank.raw.put_item(TableName=bank.tables.accounts, Item=item | items.attributes({"available": available}))


def freeze(bank: Bank, account_id: str) -> None:
    tamper(bank, account_id, 5)
    (drift,) = bank.auditor.audit().drift
    bank.auditor.freeze(drift)


def test_an_audit_of_a_sound_ledger_says_so(bank: Bank) -> None:
    bank.rich("ana")
    outcome = typed(bank, "audit")
    assert outcome.exit_code == 0
    assert outcome.text.splitlines() == [
        "2 accounts, 1 transfers, 4 entries: every balance is the sum of its entries",
        "sum over all accounts: 0 centavos",
        "oldest event in the outbox: 0.0 s",
    ]


def test_an_audit_of_an_empty_ledger_is_sound(bank: Bank) -> None:
    outcome = typed(bank, "audit")
    assert (outcome.exit_code, outcome.text.split(":")[0]) == (0, "0 accounts, 0 transfers, 0 entries")


def test_an_audit_that_finds_drift_names_it_and_exits_with_one(bank: Bank) -> None:
    ana = bank.rich("ana")
    tamper(bank, ana, 5)
    outcome = typed(bank, "audit")
    assert outcome.exit_code == 1
    assert "the ledger is NOT sound" in outcome.text
    assert f"drift: {ana}: wrong_available: the balance says 5, its entries 100000" in outcome.text


def test_an_audit_as_json_is_the_whole_report(bank: Bank) -> None:
    ana = bank.rich("ana")
    tamper(bank, ana, 5)
    outcome = typed(bank, "audit", "--json")
    assert outcome.exit_code == 1
    assert json.loads(outcome.text) == {
        "ok": False,
        "accounts": 2,
        "transfers": 1,
        "entries": 4,
        "sum_cents": 5 - 100_000,
        "drift": [
            {
                "account_id": ana,
                "what": "wrong_available",
                "detail": "the balance says 5, its entries 100000",
            }
        ],
        "outbox_age_seconds": 0.0,
    }


def test_an_account_whose_audit_is_clean_moves_again(bank: Bank) -> None:
    ana = bank.rich("ana")
    freeze(bank, ana)
    tamper(bank, ana, 100_000)
    assert typed(bank, "accounts", "unfreeze", ana) == Outcome(f"{ana} moves again", 0)
    balance = bank.ledger.balance(ana)
    assert balance is not None
    assert not balance.frozen


def test_an_account_that_still_drifts_stays_frozen_and_is_told_why(bank: Bank) -> None:
    ana = bank.rich("ana")
    freeze(bank, ana)
    outcome = typed(bank, "accounts", "unfreeze", ana)
    assert outcome.exit_code == 1
    assert outcome.text.splitlines()[0] == "still frozen:"
    assert f"{ana}: wrong_available" in outcome.text
    balance = bank.ledger.balance(ana)
    assert balance is not None
    assert balance.frozen


def test_the_drift_of_others_keeps_no_account_frozen(bank: Bank) -> None:
    ana, bruno = bank.rich("ana"), bank.rich("bruno")
    freeze(bank, ana)
    tamper(bank, ana, 100_000)
    tamper(bank, bruno, 5)
    assert typed(bank, "accounts", "unfreeze", ana).exit_code == 0


def test_an_account_that_nobody_has_is_said_to_be_unknown(bank: Bank) -> None:
    assert typed(bank, "accounts", "unfreeze", "nobody") == Outcome("no account has the id nobody", 2)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["drain"],
        ["accounts"],
        ["accounts", "unfreeze"],
        ["dead-letters", "replay"],
        ["events", "tail", "-n", "0"],
        ["events", "tail", "-n", "x"],
    ],
    ids=" ".join,
)
def test_what_no_command_knows_is_refused(
    bank: Bank, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        typed(bank, *words)
    assert ended.value.code == 2
    assert "usage: operators" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["block", "unblock", "unfreeze"])
def test_an_unknown_account_is_an_error_in_both_forms(bank: Bank, command: str) -> None:
    assert typed(bank, "accounts", command, "nobody") == Outcome("no account has the id nobody", 2)
    outcome = typed(bank, "accounts", command, "nobody", "--json")
    assert outcome.exit_code == 2
    assert json.loads(outcome.text) == {
        "error": "account_not_found",
        "detail": "no account has the id nobody",
    }


def test_an_account_is_blocked_and_unblocked_and_each_is_said_once(bank: Bank) -> None:
    ana = bank.rich("ana")
    assert typed(bank, "accounts", "block", ana) == Outcome(f"{ana} is BLOCKED", 0)
    assert typed(bank, "accounts", "block", ana) == Outcome(f"{ana} is BLOCKED, as it was", 0)
    unblocked = typed(bank, "accounts", "unblock", ana, "--json")
    assert json.loads(unblocked.text) == {"account_id": ana, "status": "ACTIVE", "changed": True}
    assert bank.auditor.audit().ok


@pytest.mark.parametrize(("state", "code"), [("internal", "internal_account"), ("frozen", "account_frozen")])
def test_an_account_that_may_not_be_blocked_says_why(bank: Bank, state: str, code: str) -> None:
    ana = bank.rich("ana")
    if state == "frozen":
        freeze(bank, ana)
    account_id = ana if state == "frozen" else bank.standing_of(grant_id(ana)).payer
    outcome = typed(bank, "accounts", "block", account_id, "--json")
    assert outcome.exit_code == 1
    assert json.loads(outcome.text)["error"] == code


def test_an_unfreeze_as_json_says_what_is_still_wrong(bank: Bank) -> None:
    ana = bank.rich("ana")
    freeze(bank, ana)
    still = typed(bank, "accounts", "unfreeze", ana, "--json")
    assert still.exit_code == 1
    assert [each["what"] for each in json.loads(still.text)["drift"]] == ["wrong_available"]
    tamper(bank, ana, 100_000)
    clean = typed(bank, "accounts", "unfreeze", ana, "--json")
    assert json.loads(clean.text) == {"account_id": ana, "frozen": False, "drift": []}


def test_tables_that_do_not_answer_are_said_with_a_code_of_their_own(bank: Bank) -> None:
    ana = bank.rich("ana")
    down = [refuse("InternalServerError", 500)] * 1000
    away = bank_on(Faulty(bank.raw, "get_item", down), bank.tables, bank.time)
    for words in (["audit"], ["trace", ana], ["accounts", "block", ana]):
        outcome = typed(away, *words)
        assert outcome.exit_code == 3
        assert "do not answer" in outcome.text


@pytest.mark.parametrize(
    "words", [["list"], ["show", "0:0"], ["replay", "0:0"]], ids=["list", "show", "replay"]
)
def test_a_broker_that_does_not_answer_is_said_with_the_same_code(
    bank: Bank, kafka: FakeBroker, words: list[str]
) -> None:
    kafka.away = True
    outcome = typed(bank, "dead-letters", *words, "--json", kafka=kafka)
    assert outcome.exit_code == 3
    assert json.loads(outcome.text)["error"] == "unavailable"


def test_dead_letters_are_listed_with_where_they_stood_and_why(bank: Bank, kafka: FakeBroker) -> None:
    assert typed(bank, "dead-letters", "list", kafka=kafka) == Outcome("There are no dead letters.", 0)
    die(kafka)
    die(kafka, b"\xff", WRITTEN)
    kafka.append(DEAD, b"k", b"somebody else's", [("ce_id", b"x")])
    outcome = typed(bank, "dead-letters", "list", "--json", kafka=kafka)
    first, second = json.loads(outcome.text)["dead_letters"]
    assert first == {
        "id": "0:0",
        "at": "2026-11-25T12:00:00.000+00:00",
        "reason": "no such transfer",
        "topic": "transfers",
        "partition": 3,
        "offset": 17,
        "type": "br.gobanking.transfer.held",
        "bytes": 22,
    }
    assert (second["id"], second["bytes"]) == ("0:1", 1)


def test_a_dead_letter_is_shown_masked_and_raw_only_when_asked_for(bank: Bank, kafka: FakeBroker) -> None:
    die(kafka)
    masked = typed(bank, "dead-letters", "show", "0:0", kafka=kafka)
    assert "Almo" not in masked.text
    assert json.loads(masked.text)["value"] == {"description": "A***"}
    raw = json.loads(typed(bank, "dead-letters", "show", "0:0", "--raw", kafka=kafka).text)
    assert base64.b64decode(raw["value_base64"]) == b'{"description":"Almo"}'
    assert raw["headers"] == [["ce_type", "br.gobanking.transfer.held"], ["ce_id", "one"]]


def test_a_wrong_id_among_others_puts_nothing_back(bank: Bank, kafka: FakeBroker) -> None:
    die(kafka)
    outcome = typed(bank, "dead-letters", "replay", "0:0", "0:9", kafka=kafka)
    assert outcome == Outcome("no dead letter has the id 0:9", 2)
    assert kafka.records("transfers") == []


def test_a_replay_says_where_each_record_is_now(bank: Bank, kafka: FakeBroker) -> None:
    die(kafka)
    die(kafka, b"another")
    outcome = typed(bank, "dead-letters", "replay", "0:0", "0:1", "--json", kafka=kafka)
    assert outcome.exit_code == 0
    back = [each["replayed_to"] for each in json.loads(outcome.text)["replayed"]]
    partition = sum(b"k") % 6
    assert back == [{"topic": "transfers", "partition": partition, "offset": n} for n in (0, 1)]
    assert [each.value for each in kafka.records("transfers")] == [b'{"description":"Almo"}', b"another"]
    assert [name for name, _ in kafka.records("transfers")[0].headers] == ["ce_type", "ce_id"]


def test_a_letter_from_a_topic_of_somebody_else_stays_where_it_is(bank: Bank, kafka: FakeBroker) -> None:
    die(kafka, written=[(name, b"others" if name == "dl_topic" else content) for name, content in WRITTEN])
    outcome = typed(bank, "dead-letters", "replay", "0:0", kafka=kafka)
    assert outcome.exit_code == 1
    assert "no topic of this bank" in outcome.text


def test_a_replay_without_a_report_says_that_it_may_have_happened(bank: Bank, kafka: FakeBroker) -> None:
    die(kafka)
    kafka.refused = {"transfers"}
    outcome = typed(bank, "dead-letters", "replay", "0:0", "--json", kafka=kafka)
    assert outcome.exit_code == 3
    assert json.loads(outcome.text) == {"replayed": [], "error": "unavailable", "unknown": "0:0"}
