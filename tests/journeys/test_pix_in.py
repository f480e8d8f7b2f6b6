"""Money from other banks by Pix, through the gateway: by key, by bank data, refused, given back both ways."""

import json
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
import pytest
import requests
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from apps.catalog import CATALOG
from apps.pix import br_code
from apps.pix.br_code import StaticCode
from apps.simulators.bacen.main import SEED
from apps.simulators.bacen.population import populated
from environments.local.api import Answer
from environments.local.demo import cpf
from environments.local.ministack import root_client
from environments.local.names import PREFIX
from tests.environment import Environment, open_account, until
from tests.journeys.conftest import Person
from tests.journeys.test_pix_out import DECIDED, MARIA, SECONDS, bacen, break_, decided, order, pay

ITAU = "60701190"
SOMEBODYS_PHONE = next(
    each.key
    for each in populated(SEED).entries
    if each.key.startswith("+") and each.account.participant != ITAU
)
"""A key of another bank that no other journey claims."""
PAYER = next(each for each in populated(SEED).of_bank(ITAU) if each.habit == "accepts")
"""Who pays at the other bank."""


@pytest.fixture(scope="module")
def rita(bank: Environment) -> Person:
    api = bank.user("rita@example.com")
    return Person(api, open_account(api, cpf(), "Rita Campos"))


@pytest.fixture(autouse=True)
def calm(bank: Environment) -> Iterator[None]:
    """Nothing that one test breaks at Bacen is broken for the next."""
    yield
    requests.delete(f"{bacen(bank)}/simulator/faults", timeout=SECONDS)


def data_of(person: Person, **changes: str) -> dict[str, str]:
    """An account as its owner tells it to somebody who pays from another bank."""
    return {
        "ispb": str(person.account["institution"]["ispb"]),
        "branch": str(person.account["branch"]),
        "number": str(person.account["number"]).replace("-", ""),
        "account_type": str(person.account["account_type"]),
        "tax_id": str(person.account["tax_id"]),
    } | changes


def from_there(bank: Environment, cents: int, **to: Any) -> str:
    """A customer of another bank pays; gives the end-to-end id."""
    body = {"from_ispb": ITAU, "amount_cents": cents, "note": "Aluguel", **to}
    answer = requests.post(f"{bacen(bank)}/simulator/payments", json=body, timeout=SECONDS)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["order_id"])


def come_back(bank: Environment, end_to_end_id: str, cents: int) -> dict[str, Any]:
    """The bank that was paid gives some of it back."""
    body = {"end_to_end_id": end_to_end_id, "amount_cents": cents}
    answer = requests.post(f"{bacen(bank)}/simulator/returns", json=body, timeout=SECONDS)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def there(bank: Environment, order_id: str, seconds: float = 20) -> dict[str, Any]:
    """An order as Bacen has it, once it is decided."""
    return until(
        lambda: order(bank, {"end_to_end_id": order_id}),
        lambda found: found.get("status") in DECIDED,
        seconds,
    )


def here(person: Person, order_id: str, seconds: float = 30) -> dict[str, Any]:
    """The transfer that an order of another bank is here, once it is decided."""

    def found() -> dict[str, Any] | None:
        listed = person.api.get(f"/transfers?account={person.account_id}&direction=in").body["transfers"]
        return next((each for each in listed if each["end_to_end_id"] == order_id), None)

    transfer = until(found, lambda each: each is not None and each["status"] in DECIDED, seconds)
    assert transfer is not None
    return transfer


def give_back(person: Person, transfer: dict[str, Any], cents: int) -> Answer:
    path = f"/transfers/{transfer['transfer_id']}/returns"
    return person.api.post(path, {"amount_cents": cents, "reason": "Engano"})


def entries(person: Person, transfer: dict[str, Any]) -> list[tuple[str, int]]:
    """What a transfer is on the statement."""
    listed = person.api.get(f"/accounts/{person.account_id}/entries").body["entries"]
    return [
        (each["kind"], each["amount_cents"])
        for each in listed
        if each["transfer_id"] == transfer["transfer_id"]
    ]


def test_a_customer_of_another_bank_pays_by_key(bank: Environment, rita: Person) -> None:
    made = rita.api.post("/keys", {"key_type": "EVP", "account_id": rita.account_id})
    assert made.status == 201, made.text
    before = rita.available()
    order_id = from_there(bank, 4_321, key=made.body["key"])
    transfer = here(rita, order_id)
    assert (transfer["status"], transfer["kind"], transfer["amount_cents"]) == ("SETTLED", "transfer", 4_321)
    assert (transfer["from_account"], transfer["to_account"]) == (None, rita.account_id)
    assert transfer["payer"]["name"] == PAYER.owner.name
    assert transfer["payer"]["document"] == f"***.{PAYER.owner.tax_id[3:6]}.{PAYER.owner.tax_id[6:9]}-**"
    assert transfer["payer"]["institution"] == {"ispb": ITAU, "name": "Itaú"}
    assert (transfer["payee"], transfer["description"]) == (None, "Aluguel")
    assert transfer["returnable_cents"] == 4_321
    assert rita.available() == before + 4_321
    assert entries(rita, transfer) == [("credit", 4_321)]
    assert there(bank, order_id)["status"] == "SETTLED"


def test_a_customer_of_another_bank_pays_by_bank_data(bank: Environment, rita: Person) -> None:
    before = rita.available()
    transfer = here(rita, from_there(bank, 99, account=data_of(rita)))
    assert transfer["status"] == "SETTLED"
    assert rita.available() == before + 99


def test_a_customer_of_another_bank_pays_by_qr_code(bank: Environment, rita: Person) -> None:
    key = rita.api.post("/keys", {"key_type": "EVP", "account_id": rita.account_id}).body["key"]
    made = until(
        lambda: rita.api.post(
            "/qr-codes", {"kind": "static", "key": key, "amount_cents": 1_250, "txid": "pedido42"}
        ),
        lambda answer: answer.status == 201,
    )
    # What the app of the other bank reads off the picture.
    code = br_code.decode(made.body["qr_code"])
    assert isinstance(code, StaticCode)
    assert (code.key, code.amount_cents, code.txid) == (key, 1_250, "pedido42")
    before = rita.available()
    order_id = from_there(bank, 1_250, key=code.key, tx_id=code.txid)
    transfer = here(rita, order_id)
    assert (transfer["status"], transfer["amount_cents"]) == ("SETTLED", 1_250)
    assert rita.available() == before + 1_250
    assert entries(rita, transfer) == [("credit", 1_250)]
    kept = payment_of(bank, transfer)
    assert (kept["instrument"], kept["key"], kept["txid"]) == ("QRES", key, "pedido42")


def payment_of(bank: Environment, transfer: dict[str, Any]) -> dict[str, Any]:
    """What the bank keeps of a Pix beside the transfer: who paid whom, and by what."""
    client: Any = root_client("dynamodb", bank.description["dynamodb_endpoint"])
    place = {"pk": {"S": f"TX#{transfer['transfer_id']}"}, "sk": {"S": "TX"}}
    item = client.get_item(TableName=f"{PREFIX}transactions", Key=place, ConsistentRead=True)["Item"]
    found: dict[str, Any] = json.loads(item["payment"]["S"])
    return found


def test_a_pix_and_its_return_are_told_with_what_was_said_on_the_rail(
    bank: Environment, rita: Person
) -> None:
    came = here(rita, from_there(bank, 90, account=data_of(rita)))
    back = decided(rita, give_back(rita, came, 40))
    assert rail(bank, came)[:2] == [("pacs.008", "in"), ("pacs.002", "ACSP")]
    assert set(rail(bank, came)[2:]) <= {("pacs.002", "ACCC"), ("pacs.002", "ACSC")}
    assert rail(bank, back)[0] == ("pacs.004", "out")
    assert ("pacs.002", "ACSC") in rail(bank, back)


def rail(bank: Environment, transfer: dict[str, Any]) -> list[tuple[str, str]]:
    """The messages of the rail in the story of a transfer, each with its direction or what it says."""
    done = bank.gobank("trace", str(transfer["transfer_id"]), "--json")
    assert done.returncode == 0, done.stderr
    timeline = json.loads(done.stdout)["timeline"]
    return [
        (each["rail_message"], each.get("direction") or each["status"])
        for each in timeline
        if "direction" in each or each.get("rail_message") == "pacs.002"
    ]


def test_only_who_was_paid_sees_it(bank: Environment, rita: Person, ana: Person) -> None:
    transfer = here(rita, from_there(bank, 1, account=data_of(rita)))
    assert ana.api.get(f"/transfers/{transfer['transfer_id']}").status == 404
    assert rita.api.get(f"/transfers/{transfer['transfer_id']}").body == transfer


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"number": "000000017"}, "AC03"),
        ({"branch": "4321"}, "AC03"),
        ({"account_type": "SVGS"}, "AC14"),
        ({"tax_id": "52998224725"}, "BE01"),
    ],
    ids=["no such number", "no such branch", "another type", "another person"],
)
def test_what_cannot_be_credited_is_refused_with_its_code(
    bank: Environment, rita: Person, changes: dict[str, str], code: str
) -> None:
    before = rita.available()
    found = there(bank, from_there(bank, 50, account=data_of(rita, **changes)))
    assert (found["status"], found["reason"]) == ("REJECTED", code)
    assert rita.available() == before


def test_a_closed_and_a_blocked_account_are_refused_with_their_codes(bank: Environment, rita: Person) -> None:
    body = {"name": "Rita", "tax_id": rita.account["tax_id"], "account_type": "TRAN"}
    second = Person(rita.api, rita.api.post("/accounts", body).body)
    assert rita.api.delete(f"/accounts/{second.account_id}").status == 204
    found = there(bank, from_there(bank, 5, account=data_of(second)))
    assert (found["status"], found["reason"]) == ("REJECTED", "AC07")
    assert bank.gobank("accounts", "block", rita.account_id).returncode == 0
    try:
        found = there(bank, from_there(bank, 5, account=data_of(rita)))
        assert (found["status"], found["reason"]) == ("REJECTED", "AC06")
    finally:
        assert bank.gobank("accounts", "unblock", rita.account_id).returncode == 0


@pytest.mark.parametrize(
    ("place", "what", "more"),
    [
        ("delivery", "duplicate", {"message": "pacs.008"}),
        ("delivery", "duplicate", {"message": "pacs.002"}),
        ("delivery", "lost", {"message": "pacs.002"}),
        ("delivery", "reordered", {"message": "pacs.002"}),
        ("spi", "lost_answer", {"times": 2}),
        ("spi", "down", {"times": 2}),
    ],
    ids=["order twice", "yes twice", "yes lost", "yes late", "answers lost", "down"],
)
def test_whatever_the_rail_does_the_money_arrives_once(
    bank: Environment, rita: Person, place: str, what: str, more: dict[str, Any]
) -> None:
    before = rita.available()
    break_(bank, place, what, **more)
    order_id = from_there(bank, 70, account=data_of(rita))
    transfer = here(rita, order_id, 60)
    assert (transfer["status"], there(bank, order_id)["status"]) == ("SETTLED", "SETTLED")
    assert rita.available() == before + 70


def test_a_receiver_that_is_killed_in_between_goes_on_and_credits_once(
    bank: Environment, rita: Person
) -> None:
    before = rita.available()
    break_(bank, "delivery", "lost", message="pacs.002", participant=data_of(rita)["ispb"])
    order_id = from_there(bank, 80, account=data_of(rita))
    there(bank, order_id)
    psutil.Process(bank.pid("receive_pix")).send_signal(signal.SIGKILL)
    assert here(rita, order_id, 60)["status"] == "SETTLED"
    assert rita.available() == before + 80


@pytest.mark.parametrize("parts", [(500,), (200, 299, 1)], ids=["in whole", "in parts"])
def test_a_pix_that_came_goes_back(bank: Environment, rita: Person, parts: tuple[int, ...]) -> None:
    order_id = from_there(bank, 500, account=data_of(rita))
    original = here(rita, order_id)
    before = rita.available()
    for cents in parts:
        back = decided(rita, give_back(rita, original, cents))
        assert (back["kind"], back["status"], back["amount_cents"]) == ("return", "SETTLED", cents)
        assert back["original_transfer_id"] == original["transfer_id"]
        assert back["end_to_end_id"].startswith("D")
        assert (back["to_account"], back["payee"]["name"]) == (None, PAYER.owner.name)
        assert order(bank, back)["kind"] == "return"
    assert rita.available() == before - 500
    assert there(bank, order_id)["returned_cents"] == 500
    refused = give_back(rita, original, 1)
    assert (refused.status, refused.body["code"]) == (409, "return_exceeds_amount")


def test_a_return_that_the_other_bank_refuses_comes_back_and_can_be_made_again(
    bank: Environment, rita: Person
) -> None:
    original = here(rita, from_there(bank, 500, account=data_of(rita)))
    before = rita.available()
    break_(bank, "payee", "reject", code="AC06")
    refused = decided(rita, give_back(rita, original, 500))
    assert (refused["status"], refused["reason"]) == ("REJECTED", "payee_account_blocked")
    assert rita.available() == before
    again = decided(rita, give_back(rita, original, 500))
    assert again["status"] == "SETTLED"
    return_of_a_return = give_back(rita, again, 1)
    assert return_of_a_return.status in {403, 409}


@pytest.mark.parametrize("parts", [(600,), (100, 499, 1)], ids=["in whole", "in parts"])
def test_a_pix_that_was_sent_comes_back(bank: Environment, rita: Person, parts: tuple[int, ...]) -> None:
    sent = decided(rita, pay(rita, 600, key=MARIA))
    before = rita.available()
    for cents in parts:
        order_id = str(come_back(bank, sent["end_to_end_id"], cents)["order_id"])
        back = here(rita, order_id)
        assert (back["kind"], back["status"], back["amount_cents"]) == ("return", "SETTLED", cents)
        assert back["original_transfer_id"] == sent["transfer_id"]
        assert (back["from_account"], back["payer"]["name"]) == (None, "Maria da Silva")
    assert rita.available() == before + 600
    assert rita.api.get(f"/transfers/{sent['transfer_id']}").body["returnable_cents"] == 0


# --- what all of it has written down -------------------------------------------------------------


def _secrets(*people: Person) -> list[str]:
    """Documents, account numbers, keys and tokens of everybody in a Pix, in every form that they have."""
    maria = next(each for each in populated(SEED).customers.values() if each.owner.name == "Maria da Silva")
    secrets = [PAYER.owner.tax_id, PAYER.account.number, maria.owner.tax_id, maria.account.number, MARIA]
    for person in people:
        number = str(person.account["number"])
        secrets += [str(person.account["tax_id"]), number, number.replace("-", "")]
        secrets += [each["key"] for each in person.api.get("/keys").body["keys"] if each["key"]]
        secrets.append(str(person.api._session.headers["Authorization"]).removeprefix("Bearer "))
    return [*secrets, *(_punctuated(each) for each in secrets if each.isdigit() and len(each) == 11)]


def _punctuated(tax_id: str) -> str:
    return f"{tax_id[:3]}.{tax_id[3:6]}.{tax_id[6:9]}-{tax_id[9:]}"


def _kept_events(bank: Environment) -> str:
    """Every event that waits for Kafka or that Kafka took, as the table has it."""
    client: Any = root_client("dynamodb", bank.description["dynamodb_endpoint"])
    return json.dumps(client.scan(TableName=f"{PREFIX}events")["Items"])


def _records(bank: Environment, topic: str) -> list[ConsumerRecord]:
    """Every record of a topic, byte for byte."""
    description = bank.description
    consumer: Any = KafkaConsumer(
        bootstrap_servers=description["kafka_bootstrap"], **description["kafka_admin"]
    )
    try:
        partitions = consumer.partitions_for_topic(PREFIX + topic)
        places = [TopicPartition(PREFIX + topic, each) for each in partitions]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        found: list[ConsumerRecord] = []
        while any(consumer.position(place) < end for place, end in ends.items()):
            found += [record for each in consumer.poll(timeout_ms=500).values() for record in each]
        return found
    finally:
        consumer.close()


def _in_full(records: Sequence[ConsumerRecord]) -> str:
    """Keys, values and headers of records, as text."""
    parts = [
        part or b"" for each in records for part in (each.key, each.value, *(h[1] for h in each.headers))
    ]
    return "\n".join(part.decode(errors="backslashreplace") for part in parts)


def _unreadable_copy(bank: Environment, transfer: dict[str, Any]) -> None:
    """An event of a transfer comes once more, without its version: nobody can handle that."""
    event = next(
        each
        for each in _records(bank, "transfers")
        # The bank is other journeys' too, and some of them send what is no event.
        if str(transfer["transfer_id"]).encode() in dict(each.headers).get("ce_subject", b"")
    )
    description = bank.description
    producer: Any = KafkaProducer(
        bootstrap_servers=description["kafka_bootstrap"], **description["kafka_admin"]
    )
    headers = [each for each in event.headers if each[0] != "ce_schemaversion"]
    producer.send(PREFIX + "transfers", key=event.key, value=event.value, headers=headers)
    producer.flush()
    producer.close()


def _said(bank: Environment) -> dict[str, str]:
    """All that each program of the bank has logged. Left out are Bacen and the other bank, which play the
    outside world and know who their customers are, and the emulators, which are no code of the bank's."""
    inside = {each.name for each in CATALOG.services if each.kind != "simulator"}
    said = {path.stem: path.read_text() for path in (bank.folder / "logs").glob("*.log")}
    # The operators' commands run only when somebody types one.
    assert inside - set(said) <= {each.name for each in CATALOG.services if each.kind == "job"}, (
        "every service logs"
    )
    return {name: text for name, text in said.items() if name in inside}


def test_nothing_that_a_pix_leaves_behind_says_who_paid_whom(bank: Environment, rita: Person) -> None:
    """Log lines and metrics of every service, events, records of both topics and traces of a whole journey:
    in and out, by key, bank data and QR code, refused, returned both ways, a claim, a dead letter, and
    messages that are none."""
    made = rita.api.post("/keys", {"key_type": "EVP", "account_id": rita.account_id})
    came = here(rita, from_there(bank, 500, key=made.body["key"]))
    went = decided(rita, pay(rita, 300, key=MARIA))
    back = decided(rita, give_back(rita, came, 100))
    returned = here(rita, str(come_back(bank, went["end_to_end_id"], 100)["order_id"]))
    there(bank, from_there(bank, 1, account=data_of(rita, tax_id="52998224725")))
    code = br_code.encode(StaticCode(MARIA, "Maria da Silva", "SAO PAULO", 150, "pedido43"))
    by_code = decided(rita, pay(rita, 150, qr_code=code))
    assert by_code["status"] == "SETTLED"
    claim = {"type": "OWNERSHIP", "key": SOMEBODYS_PHONE, "account_id": rita.account_id}
    assert rita.api.post("/keys/claims", claim).status == 201
    break_(
        bank,
        "spi",
        "garbled",
        times=3,
        body=f"<Envelope><Id>{rita.account['tax_id']}</Id><Key>{MARIA}</Key></Envelope>",
    )
    assert here(rita, from_there(bank, 2, account=data_of(rita)), 60)["status"] == "SETTLED"
    _unreadable_copy(bank, went)
    letters = until(
        lambda: _records(bank, "transfers.dead-letter"),
        lambda found: str(went["transfer_id"]) in _in_full(found),
    )
    written = _said(bank)
    assert '"_aws"' in written["receive_pix"], "metrics are among the lines"
    written["events"] = _kept_events(bank)
    written["topic"] = _in_full(_records(bank, "transfers"))
    written["dead letters"] = _in_full(letters)
    shown = bank.gobank("dead-letters", "list", "--json")
    assert shown.returncode == 0, shown.stderr
    written["dead letters, listed"] = shown.stdout
    for transfer in (came, went, by_code, back, returned):
        assert str(transfer["transfer_id"]) in written["topic"]
        done = bank.gobank("trace", str(transfer["transfer_id"]), "--json")
        assert done.returncode == 0, done.stderr
        assert transfer["end_to_end_id"] in written["events"]
        written[f"trace of a {transfer['kind']}"] = done.stdout
    secrets = [*_secrets(rita), SOMEBODYS_PHONE]
    assert len(secrets) > 10
    for name, text in written.items():
        assert [each for each in secrets if each in text] == [], name
        assert "Traceback" not in text, name


def test_the_books_agree_with_all_of_it(bank: Environment) -> None:
    def clean() -> Any:
        return json.loads(bank.gobank("audit", "--json").stdout)

    report = until(clean, lambda found: found["ok"])
    assert (report["sum_cents"], report["drift"]) == (0, [])
