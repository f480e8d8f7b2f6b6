"""However an environment starts, is hurt or ends: it says so, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from apps.catalog import CATALOG
from environments.local import tansu
from environments.local.demo import cpf
from environments.local.ministack import MiniStack
from tests.contract.kafka_brokers import prepared
from tests.environment import GOBANK, Environment, environment, gone, open_account, until

SERVICES = sorted(service.name for service in CATALOG.services if service.port is not None)
SIMULATORS = sorted(service.name for service in CATALOG.services if service.kind == "simulator")
SHOW = Path(__file__).parent / "show_environment.py"
KEYS = Path(__file__).parent / "record_keys.py"


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An environment that every test leaves as it was."""
    with environment(
        tmp_path_factory.mktemp("shared"),
        GOBANK_INSTRUMENT=str(SHOW),
        AWS_ACCESS_KEY_ID="someone",
        AWS_SECRET_ACCESS_KEY="else",
        AWS_PROFILE="nobody",
    ) as up:
        yield up


def test_the_description_says_where_everything_is(bank: Environment) -> None:
    described = bank.description
    assert {
        "gateway_url",
        "cognito",
        "dynamodb_endpoint",
        "kafka_bootstrap",
        "table_prefix",
        "services",
        "simulators",
    } <= set(described)
    assert set(described["cognito"]) == {"endpoint", "user_pool_id", "client_id", "issuer", "jwks_url"}
    assert sorted(described["simulators"]) == SIMULATORS
    assert sorted([*described["services"], *SIMULATORS]) == SERVICES
    for each in (*described["services"].values(), *described["simulators"].values()):
        assert {"url", "pid", "log"} == set(each)
        assert psutil.pid_exists(each["pid"])
        assert Path(each["log"]).exists()
    assert described["seconds"] < 60


def test_up_twice_says_that_it_is_up(bank: Environment) -> None:
    before = bank.description
    again = bank.gobank("up", "--detach")
    assert again.returncode == 0
    assert "up already" in again.stderr
    assert bank.description == before


def test_a_killed_service_comes_back_and_money_still_moves(bank: Environment) -> None:
    api = bank.user("kill@example.com")
    for service in ("transaction", "settle_transfers", "relay_outbox"):
        old = bank.pid(service)
        os.kill(old, signal.SIGKILL)
        new = until(lambda name=service: bank.pid(name), lambda pid, was=old: pid != was)  # type: ignore[misc]
        assert psutil.pid_exists(new)
    account = open_account(api, cpf())
    assert account["available_cents"] == 100_000


def test_status_shows_every_process(bank: Environment) -> None:
    shown = bank.gobank("status")
    assert shown.returncode == 0
    for name in (*SERVICES, "ministack", "kafka"):
        assert name[:12] in shown.stdout


def test_logs_of_a_service_are_its_own(bank: Environment) -> None:
    assert '"service": "gateway"' in bank.gobank("logs", "gateway", "-n", "200").stdout


def test_a_login_prints_a_token_and_nothing_else(bank: Environment) -> None:
    for _ in range(2):
        done = bank.gobank("login", "lia@example.com")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(".") == 2
        assert done.stdout.count("\n") == 1
    wrong = bank.gobank("login", "lia@example.com", "--password", "Another-one-1")
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert "wrong password" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("logs", "gatway"), ("gatway", "gateway")),
        (("login", "ana"), ("ana", "ana@example.com")),
        (("up", "--kafka", "here"), ("--kafka", "here", "HOST:PORT")),
        (("up", "--kafka", "host:99999"), ("--kafka", "HOST:PORT")),
        (("up", "--dynamodb", "localhost"), ("--dynamodb", "localhost", "http://")),
        (("up", "--port", "0"), ("--port 0", "1 to 65535")),
    ],
)
def test_bad_arguments_are_named(
    bank: Environment, arguments: tuple[str, ...], said: tuple[str, ...]
) -> None:
    done = bank.gobank(*arguments)
    assert done.returncode == 2
    text = done.stderr.replace("\n", " ")
    for word in said:
        assert word in text


def test_a_service_sees_its_own_variables_alone(bank: Environment) -> None:
    for service in SERVICES:
        names = set((bank.folder / "logs" / f"{service}.variables").read_text().split())
        assert not names & {
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_PROFILE",
            "PYTEST_CURRENT_TEST",
        }
        callees = {f"URL_{each.name.upper()}" for each in CATALOG.called_by(service)}
        assert {name for name in names if name.startswith("URL_")} == callees
        tables = {f"TABLE_{each.table.upper()}" for each in CATALOG.service(service).tables}
        assert {name for name in names if name.startswith("TABLE_")} == tables


def test_what_holds_secrets_is_readable_by_its_user_alone(bank: Environment) -> None:
    files = [*bank.state.tokens.iterdir(), *bank.state.jobs.iterdir(), bank.state.description]
    assert len(files) > len(SERVICES)
    assert {oct(path.stat().st_mode & 0o077) for path in files} == {"0o0"}


def test_without_a_bank_commands_say_how_to_start_it(tmp_path: Path) -> None:
    nothing = Environment(tmp_path)
    for arguments in (("status",), ("audit",), ("login", "ana@example.com")):
        done = nothing.gobank(*arguments)
        assert done.returncode == 2
        assert "gobank up" in done.stderr
    assert nothing.gobank("down").returncode == 0


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    bank = Environment(tmp_path)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = bank.gobank("up", "--detach", "--port", str(port))
    assert done.returncode == 2
    assert f"--port {port}" in done.stderr
    assert bank.processes() == []


def test_a_failed_start_shows_why_and_leaves_nothing(tmp_path: Path) -> None:
    bank = Environment(tmp_path, {"OPENING_GRANT_CENTS": "much"})
    done = bank.gobank("up", "--detach")
    assert done.returncode == 1
    assert "OPENING_GRANT_CENTS" in done.stderr
    assert "account ended" in done.stderr.replace("\n", " ")
    assert bank.processes() == []
    assert not bank.state.description.exists()


@pytest.mark.parametrize("emulator", ["ministack", "kafka"])
def test_a_dead_emulator_ends_the_environment_with_a_message(tmp_path: Path, emulator: str) -> None:
    with environment(tmp_path) as bank:
        running = bank.processes()
        os.kill(bank.pid(emulator), signal.SIGKILL)
        gone(running, 30)
        told = bank.gobank("status")
        assert told.returncode == 2
        assert f"{emulator} ended" in told.stderr.replace("\n", " ")


def test_a_killed_supervisor_leaves_nothing_and_the_next_start_is_clean(tmp_path: Path) -> None:
    with environment(tmp_path) as bank:
        running = bank.processes()
        assert len(running) >= len(SERVICES) + 3
        os.kill(bank.description["supervisor"]["pid"], signal.SIGKILL)
        gone(running, 20)
        assert bank.state.description.exists()
        down = bank.gobank("down")
        assert down.returncode == 0
        assert not bank.state.description.exists()
        bank.up()
        assert bank.gobank("audit").returncode == 0


def test_down_after_a_crash_ends_what_is_left(tmp_path: Path) -> None:
    with environment(tmp_path) as bank:
        running = bank.processes()
        # A stopped process cannot follow its supervisor: only `down` ends it.
        stuck = psutil.Process(bank.pid("account"))
        stuck.suspend()
        os.kill(bank.description["supervisor"]["pid"], signal.SIGKILL)
        assert bank.gobank("down").returncode == 0
        gone(running, 10)


@pytest.mark.parametrize("when", ["starting", "up"])
def test_ctrl_c_ends_everything(tmp_path: Path, when: str) -> None:
    bank = Environment(tmp_path)
    with subprocess.Popen(
        [GOBANK, "up"], env=bank.env, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as command:
        assert command.stderr is not None
        word = "starting the services" if when == "starting" else "Ctrl-C"
        for line in command.stderr:
            if word in line:
                break
        running = bank.processes()
        assert running
        os.killpg(command.pid, signal.SIGINT)
        command.communicate(timeout=30)
    gone(running)
    assert bank.processes() == []
    assert command.returncode in ({130} if when == "starting" else {0})


def test_two_at_the_same_moment_make_one_bank(tmp_path: Path) -> None:
    bank = Environment(tmp_path)
    commands = [
        subprocess.Popen([GOBANK, "up", "--detach"], env=bank.env, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [command.communicate(timeout=60)[1] for command in commands]
    codes = sorted(command.returncode for command in commands)
    try:
        assert codes in ([0, 0], [0, 1]), ended
        assert bank.gobank("status").returncode == 0
    finally:
        running = bank.processes()
        bank.gobank("down")
        gone(running)


def keys_used(bank: Environment, service: str) -> list[str]:
    return (bank.state.logs / f"{service}.keys").read_text().splitlines()


def test_keys_are_renewed_before_they_end(tmp_path: Path) -> None:
    """900 s is inside botocore's refresh window (15 minutes), so each call asks for new keys. A refusal is
    ignored there until the last ten minutes: what shows a renewal is that the keys in use change."""
    with environment(tmp_path, GOBANK_CREDENTIALS_SECONDS="900", GOBANK_INSTRUMENT=str(KEYS)) as bank:
        api = bank.user("short@example.com")
        account = open_account(api, cpf())
        first = keys_used(bank, "account")
        for _ in range(5):
            assert api.get(f"/accounts/{account['account_id']}").status == 200
        since = keys_used(bank, "account")[len(first) :]
    assert len(since) >= 5
    assert len({*first, *since}) == len(first) + len(since), "each of them is another"


def test_other_servers_can_be_named(tmp_path: Path) -> None:
    kafka, stack = tansu.prepare(), MiniStack()
    # Like DynamoDB Local: whoever comes, with whatever keys, is let in.
    open_to_all = {**stack.env, "AUTH": "false"}
    others = [
        subprocess.Popen(
            argv, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for argv, env in ((kafka.argv, kafka.env), (stack.argv, open_to_all))
    ]
    try:
        until(stack.answers, bool)
        with environment(tmp_path, "--kafka", kafka.bootstrap, "--dynamodb", stack.url) as bank:
            assert bank.description["kafka_bootstrap"] == kafka.bootstrap
            assert bank.description["dynamodb_endpoint"] == stack.url
            assert sorted(bank.description["emulators"]) == ["ministack"]
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_the_bank_runs_on_apache_kafka_each_service_as_itself(tmp_path: Path) -> None:
    prepared("apache", tmp_path / "broker")
    with environment(tmp_path, "--kafka", "apache") as bank:
        assert bank.description["kafka"] == "apache kafka"
        done = bank.gobank("demo", "--json")
        assert done.returncode == 0, done.stderr
        assert '"ok": true' in done.stdout


def test_a_demo_takes_down_what_it_brought_up(tmp_path: Path) -> None:
    bank = Environment(tmp_path)
    started = time.monotonic()
    done = bank.gobank("demo")
    assert done.returncode == 0, done.stderr
    assert bank.processes() == []
    for part in (
        "sign up with Cognito",
        "SETTLED",
        "insufficient_funds",
        "account_not_found",
        "ce_type",
        "links accounts at two other banks",
        "ends the link",
        "sum 0",
    ):
        assert part in done.stdout
    assert time.monotonic() - started < 90
