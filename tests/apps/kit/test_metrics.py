"""Metrics are lines that CloudWatch reads as it specifies ("Specification: Embedded metric format")."""

import json
import time
from typing import Any

import pytest

from apps.kit import metrics

UNITS = {
    *("Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"),
    *(f"{prefix}{unit}" for prefix in ("", "Kilo", "Mega", "Giga", "Tera") for unit in ("bytes", "bits")),
}
"""The units that CloudWatch knows for what is not a rate of bytes."""


@pytest.fixture(autouse=True)
def _service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE", "relay_outbox")
    monkeypatch.setenv("ENVIRONMENT", "dev")


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line, as the specification reads it: each name in the directive is a member of the root."""
    text = capsys.readouterr().out
    assert text.endswith("\n")
    assert text.count("\n") == 1
    line: dict[str, Any] = json.loads(text)
    metadata = line["_aws"]
    assert set(metadata) == {"Timestamp", "CloudWatchMetrics"}
    assert type(metadata["Timestamp"]) is int
    for directive in metadata["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert 1 <= len(directive["Namespace"]) <= 1024
        assert not directive["Namespace"].startswith("AWS/"), "a namespace of CloudWatch's own"
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            for name in dimensions:
                assert isinstance(line[name], str)
                assert 1 <= len(line[name]) <= 1024
        for metric in directive["Metrics"]:
            assert metric["Unit"] in UNITS
            assert type(line[metric["Name"]]) in {int, float}
    return line


def test_a_value_is_one_line_with_its_definition(capsys: pytest.CaptureFixture[str]) -> None:
    before = int(time.time() * 1000)
    metrics.emit("dead_letters", 1)
    after = int(time.time() * 1000)
    line = emitted(capsys)
    assert before <= line["_aws"].pop("Timestamp") <= after, "milliseconds since 1970"
    assert line == {
        "_aws": {
            "CloudWatchMetrics": [
                {
                    "Namespace": "GoBanking",
                    "Dimensions": [["environment", "service"]],
                    "Metrics": [{"Name": "dead_letters", "Unit": "Count"}],
                }
            ]
        },
        "environment": "dev",
        "service": "relay_outbox",
        "dead_letters": 1,
    }


def test_dimensions_are_one_set_with_environment_and_service(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.emit("relay_failures", 1, reason="Unavailable", shard="0")
    line = emitted(capsys)
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [
        ["environment", "service", "reason", "shard"]
    ]
    assert (line["service"], line["reason"], line["shard"]) == ("relay_outbox", "Unavailable", "0")


@pytest.mark.parametrize("value", [0, 0.0, 12.25, -5, 10**15], ids=str)
def test_a_value_keeps_its_number_and_unit(capsys: pytest.CaptureFixture[str], value: float) -> None:
    metrics.emit("outbox_age_seconds", value, unit="Seconds")
    line = emitted(capsys)
    assert line["outbox_age_seconds"] == value
    assert line["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [
        {"Name": "outbox_age_seconds", "Unit": "Seconds"}
    ]


@pytest.mark.parametrize(("variable", "dimension"), [("SERVICE", "service"), ("ENVIRONMENT", "environment")])
def test_a_program_without_a_name_is_unknown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, dimension: str
) -> None:
    monkeypatch.delenv(variable)
    metrics.emit("drift", 0)
    assert emitted(capsys)[dimension] == "unknown"


def test_two_environments_in_one_account_are_two_metrics(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.emit("drift", 0)
    first = emitted(capsys)
    monkeypatch.setenv("ENVIRONMENT", "pr-pix-1a2b3c")
    metrics.emit("drift", 0)
    second = emitted(capsys)
    names = [line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0] for line in (first, second)]
    keys = [
        [line[name] for name in dimensions] for line, dimensions in zip((first, second), names, strict=True)
    ]
    assert keys == [["dev", "relay_outbox"], ["pr-pix-1a2b3c", "relay_outbox"]]


def test_values_come_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.emit("drift", 0)
    metrics.emit("ledger_sum_cents", -3)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line.get("drift"), line.get("ledger_sum_cents")) for line in lines] == [(0, None), (None, -3)]
