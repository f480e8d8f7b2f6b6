"""The story that `gobank demo` tells: people, a transfer, a Pix, all that must not work, and other banks."""

import json
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from environments.local import jobs
from environments.local.api import Api
from environments.local.demo_links import Customer, Links
from environments.local.names import PREFIX
from environments.local.state import State
from environments.local.telling import DemoFailed, Teller, expect, reais, until
from environments.local.users import PASSWORD, sign_in

AMOUNT_CENTS = 12_345
PIX_CENTS = 4_321
MARIAS_KEY, CLOSED_KEY = "maria.silva@example.com", "closed@example.com"
"""Whom the simulator of Bacen knows at other banks."""


@dataclass
class Person:
    """Somebody in the story."""

    name: str
    email: str
    api: Api | None = None
    account: dict[str, Any] = field(default_factory=dict)

    @property
    def client(self) -> Api:
        """The person's own client, once signed in."""
        assert self.api is not None
        return self.api

    @property
    def account_id(self) -> str:
        """The person's account."""
        return str(self.account["account_id"])


class Demo:
    """Tells the story on one environment; `result` is what `--json` prints."""

    def __init__(self, state: State, description: dict[str, Any], console: Console) -> None:
        self._state = state
        self._environment = description
        self._console = console
        self._teller = Teller(console)
        tag = uuid.uuid4().hex[:6]
        self._ana = Person("Ana Souza", f"ana.{tag}@example.com")
        self._bruno = Person("Bruno Lima", f"bruno.{tag}@example.com")
        self.result: dict[str, Any] = {}

    def tell(self) -> None:
        """The whole story. Raises `DemoFailed`."""
        people = (self._ana, self._bruno)
        self._chapter("Two people sign up with Cognito and sign in by SRP")
        for person in people:
            token = sign_in(self._environment["cognito"], person.email, PASSWORD)
            person.api = Api(self._environment["gateway_url"], token)
            self._say(f"{person.name} <{person.email}> has an access token of {len(token)} characters")
        self._chapter("Each opens an account and gets R$ 1.000,00 from the treasury")
        for person in people:
            self._open_account(person)
        self._show_balances("Before")
        self._chapter(f"Ana pays Bruno {reais(AMOUNT_CENTS)}")
        key, body, transfer_id = self._pay()
        self._chapter("Ana's phone was offline: it repeats the request with the same Idempotency-Key")
        self._repeat(key, body)
        self._chapter(f"Ana pays Maria, a customer of another bank, {reais(PIX_CENTS)} by Pix")
        self._pay_elsewhere()
        self._chapter(
            f"A customer of another bank pays Bruno {reais(PIX_CENTS)}, and he gives half of it back"
        )
        self._be_paid_from_elsewhere()
        self._chapter("What must not work")
        self._overspend()
        self._use_anothers_account()
        self._show_balances("After")
        self._show_entries()
        self._chapter("The event as it passed through Kafka")
        self._show_event(transfer_id)
        self._other_banks()
        self._chapter("The auditor recomputes every balance from its entries")
        self._audit()

    def _open_account(self, person: Person) -> None:
        body = {"name": person.name, "tax_id": cpf(), "account_type": "CACC"}
        answer = expect(person.client.post("/accounts", body), 201)
        person.account = answer.body
        balance = until(
            lambda: person.client.get(f"/accounts/{person.account_id}").body,
            lambda body: body.get("available_cents", 0) > 0,
            "the opening grant did not arrive",
        )
        self._say(
            f"{person.name}: branch {person.account['branch']}, account {person.account['number']}, "
            f"{reais(balance['available_cents'])}"
        )

    def _pay(self) -> tuple[str, dict[str, Any], str]:
        body = {
            "from_account": self._ana.account_id,
            "to": {"account": self._bruno.account_id},
            "amount_cents": AMOUNT_CENTS,
            "description": "Almoço de domingo",
        }
        key = str(uuid.uuid4())
        started = time.perf_counter()
        answer = expect(self._ana.client.post("/transfers", body, key), 201)
        acknowledged_ms = (time.perf_counter() - started) * 1000
        acknowledged_at = time.time()
        transfer_id = str(answer.body["transfer_id"])
        self._say(f"201 {answer.body['status']} after {acknowledged_ms:.0f} ms: the money is set aside")
        settled = until(
            lambda: self._ana.client.get(f"/transfers/{transfer_id}").body,
            lambda body: body["status"] != "HELD",
            "the transfer was not settled",
        )
        decided_at = datetime.fromisoformat(settled["decided_at"]).timestamp()
        settled_ms = max(0.0, (decided_at - acknowledged_at) * 1000)
        self._say(f"{settled['status']} {settled_ms:.0f} ms later, by the consumer of the event")
        self.result = {
            "transfer_id": transfer_id,
            "status": settled["status"],
            "acknowledged_ms": round(acknowledged_ms, 1),
            "settled_ms": round(settled_ms, 1),
        }
        self._first_answer = answer
        return key, body, transfer_id

    def _repeat(self, key: str, body: dict[str, Any]) -> None:
        answer = expect(self._ana.client.post("/transfers", body, key), 201)
        if answer.text != self._first_answer.text:
            raise DemoFailed("the repeated request got another answer")
        replayed = answer.headers.get("Idempotent-Replayed")
        self._say(
            f"201, the first answer byte for byte (Idempotent-Replayed: {replayed}); nothing moved twice"
        )

    def _pay_elsewhere(self) -> None:
        started = time.perf_counter()
        transfer = self._pix(MARIAS_KEY)
        payee = transfer["payee"]
        self._say(
            f"to the key {payee['key']}: {payee['name']}, CPF {payee['document']}, "
            f"{payee['institution']['name']}"
        )
        if transfer["status"] != "SETTLED":
            raise DemoFailed(f"the Pix was not settled: {transfer['reason_text']}")
        seen_ms = (time.perf_counter() - started) * 1000
        self._say(
            f"HELD, SENT, SETTLED after {seen_ms:.0f} ms: {transfer['end_to_end_id']} "
            "(officially half of all payers wait at most 6 s)"
        )
        refused = self._pix(CLOSED_KEY)
        if refused["status"] != "REJECTED":
            raise DemoFailed("a closed account was paid")
        self._say(f'to {CLOSED_KEY}: REJECTED {refused["reason"]}, "{refused["reason_text"]}"')
        self.result["pix"] = {"status": transfer["status"], "rejected": refused["reason"]}

    def _pix(self, key: str) -> dict[str, Any]:
        body = {"from_account": self._ana.account_id, "to": {"key": key}, "amount_cents": PIX_CENTS}
        answer = expect(self._ana.client.post("/transfers", body), 201)
        path = f"/transfers/{answer.body['transfer_id']}"
        decided: dict[str, Any] = until(
            lambda: self._ana.client.get(path).body,
            lambda body: body["status"] in {"SETTLED", "REJECTED"},
            "the Pix was not decided",
        )
        return decided

    def _be_paid_from_elsewhere(self) -> None:
        bruno = self._bruno
        account = {
            "ispb": bruno.account["institution"]["ispb"],
            "branch": bruno.account["branch"],
            "number": bruno.account["number"].replace("-", ""),
            "account_type": bruno.account["account_type"],
            "tax_id": bruno.account["tax_id"],
        }
        # What no customer here can do: the simulator has another bank's customer pay.
        bacen = Api(self._environment["simulators"]["bacen"]["url"], "nobody")
        body = {"amount_cents": PIX_CENTS, "account": account, "note": "Aluguel"}
        order = expect(bacen.post("/simulator/payments", body), 201).body
        transfer = self._decided(bruno, lambda each: each["end_to_end_id"] == order["order_id"])
        payer = transfer["payer"]
        self._say(
            f"from {payer['name']}, CPF {payer['document']}, {payer['institution']['name']}: "
            f"ACCEPTED, {transfer['status']}"
        )
        path = f"/transfers/{transfer['transfer_id']}/returns"
        giving = {"amount_cents": PIX_CENTS // 2, "reason": "Valor errado"}
        made = expect(bruno.client.post(path, giving), 201).body
        back = self._decided(bruno, lambda each: each["transfer_id"] == made["transfer_id"])
        if (transfer["status"], back["status"]) != ("SETTLED", "SETTLED"):
            raise DemoFailed("the Pix from another bank was not credited, or could not be returned")
        self._say(f"{reais(back['amount_cents'])} goes back to {back['payee']['name']}: {back['status']}")
        self.result["pix"] |= {"received": transfer["status"], "returned": back["status"]}

    def _decided(self, person: Person, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """One of somebody's transfers, once it is decided."""

        def find() -> dict[str, Any] | None:
            listed = expect(person.client.get(f"/transfers?account={person.account_id}"), 200)
            return next((each for each in listed.body["transfers"] if wanted(each)), None)

        found: dict[str, Any] = until(
            find,
            lambda each: each is not None and each["status"] in {"SETTLED", "REJECTED"},
            "the Pix was not decided",
        )
        return found

    def _overspend(self) -> None:
        body = {
            "from_account": self._ana.account_id,
            "to": {"account": self._bruno.account_id},
            "amount_cents": 10**9,
        }
        answer = expect(self._ana.client.post("/transfers", body), 409)
        self._say(
            f"Ana pays more than she has: 409 {answer.body['code']}, "
            f"available {reais(answer.body['available_cents'])}"
        )

    def _use_anothers_account(self) -> None:
        body = {
            "from_account": self._ana.account_id,
            "to": {"account": self._bruno.account_id},
            "amount_cents": 1,
        }
        answer = expect(self._bruno.client.post("/transfers", body), 404)
        self._say(f"Bruno pays from Ana's account: 404 {answer.body['code']}")
        looked = expect(self._bruno.client.get(f"/accounts/{self._ana.account_id}"), 404)
        self._say(f"Bruno looks at Ana's account: 404 {looked.body['code']}")

    def _show_balances(self, title: str) -> None:
        table = Table(title=title, title_justify="left")
        for column in ("", "available", "on hold"):
            table.add_column(column, justify="left" if not column else "right")
        for person in (self._ana, self._bruno):
            balances = expect(person.client.get("/balances"), 200).body
            for each in balances["accounts"]:
                table.add_row(person.name, reais(each["available_cents"]), reais(each["on_hold_cents"]))
        self._console.print(table)

    def _show_entries(self) -> None:
        for person in (self._ana, self._bruno):
            table = Table(title=f"Statement of {person.name}", title_justify="left")
            for column in ("no.", "kind", "amount", "available after"):
                table.add_column(column, justify="right")
            entries = expect(person.client.get(f"/accounts/{person.account_id}/entries"), 200).body["entries"]
            for each in entries:
                sign = "-" if each["kind"] == "debit" else "+"
                table.add_row(
                    str(each["seq"]),
                    each["kind"],
                    sign + reais(each["amount_cents"]),
                    reais(each["available_after_cents"]),
                )
            self._console.print(table)

    def _show_event(self, transfer_id: str) -> None:
        from kafka import KafkaConsumer, TopicPartition  # noqa: PLC0415 (slow to import, needed once)

        consumer = KafkaConsumer(
            bootstrap_servers=self._environment["kafka_bootstrap"].split(","),
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
            **self._environment.get("kafka_admin", {}),
        )
        try:
            topic = PREFIX + "transfers"
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            record = until(
                lambda: self._find_record(consumer, transfer_id),
                lambda found: found is not None,
                "the event did not pass through Kafka",
            )
            headers = {name: value.decode() for name, value in record.headers}
            self._say(f"topic {topic}, partition {record.partition}, offset {record.offset}")
            self._console.print_json(json.dumps({"headers": headers, "body": json.loads(record.value)}))
        finally:
            consumer.close()

    @staticmethod
    def _find_record(consumer: Any, transfer_id: str) -> Any:
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                if ("ce_subject", transfer_id.encode()) in record.headers:
                    return record
        return None

    def _other_banks(self) -> None:
        ana = self._ana
        links = Links(self._environment, self._teller)
        links.tell(Customer(ana.name, str(ana.account["tax_id"]), ana.client, ana.account))
        self.result["links"] = links.result

    def _audit(self) -> None:
        done = jobs.run(self._state, "operators", ["audit", "--json"])
        report = json.loads(done.stdout)
        self.result["audit"] = {
            name: report[name] for name in ("ok", "accounts", "transfers", "sum_cents", "drift")
        }
        if not report["ok"]:
            raise DemoFailed(f"the audit is not clean: {report['drift']}")
        self._say(
            f"{report['accounts']} accounts, {report['transfers']} transfers, {report['entries']} entries: "
            f"sum {report['sum_cents']}, drift none"
        )

    def _chapter(self, title: str) -> None:
        self._teller.chapter(title)

    def _say(self, text: str) -> None:
        self._teller.say(text)


def cpf() -> str:
    """A CPF with valid check digits that belongs to nobody in particular."""
    digits = [random.randrange(10) for _ in range(9)]
    for _ in range(2):
        rest = sum(digit * (2 + place) for place, digit in enumerate(reversed(digits))) % 11
        digits.append(0 if rest < 2 else 11 - rest)
    return "".join(map(str, digits))
