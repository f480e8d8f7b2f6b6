"""What is asked of a bank that is up and cannot be done is refused in words, never by a traceback."""

from collections.abc import Iterator

import pytest

from tests.environment import Environment, environment


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An environment that every test leaves as it was."""
    with environment(tmp_path_factory.mktemp("refusing")) as up:
        yield up


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("login", "eva@example.com", "--password", "short"), "eva@example.com cannot be created"),
        (("up", "--port", "50000"), "Take it down first"),
        (("up", "--kafka", "apache"), "Take it down first"),
    ],
    ids=["weak-password", "another-port", "another-kafka"],
)
def test_a_refusal_says_why(bank: Environment, arguments: tuple[str, ...], said: str) -> None:
    before = bank.description
    done = bank.gobank(*arguments)
    assert done.returncode == 2
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert bank.description == before
