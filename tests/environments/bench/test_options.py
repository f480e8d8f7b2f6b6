"""The bench measures all of it, or the part that it is asked for."""

import pytest

from environments.bench.options import ACCOUNTS, CLIENTS, PARTS, SECONDS, Options, read


def test_without_options_everything_is_measured() -> None:
    assert read([]) == Options(frozenset(PARTS), CLIENTS, SECONDS, ACCOUNTS, None, 1)


def test_a_part_is_measured_as_it_is_asked_for() -> None:
    options = read(["--only", "uniform,hot-payee", "--clients", "8,32", "--seconds", "2.5"])
    assert options.only == {"uniform", "hot-payee"}
    assert (options.clients, options.seconds) == ((8, 32), 2.5)


def test_the_environment_is_asked_for_what_the_options_need() -> None:
    assert read([]).up() == ["up", "--detach"]
    more = read(["--dynamodb", "http://127.0.0.1:8000", "--settle-workers", "2"]).up()
    assert more[2:] == ["--dynamodb", "http://127.0.0.1:8000", "--replicas", "settle_transfers=2"]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--only", "everything"],
        ["--clients", "0"],
        ["--clients", "1,,2"],
        ["--seconds", "0"],
        ["--seconds", "long"],
        ["--accounts", "39"],
        ["--settle-workers", "x"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(wrong)
    assert wrong[0] in capsys.readouterr().err
