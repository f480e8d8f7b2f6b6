"""Rules for every test: unit tests open no socket, and where skips are forbidden a skip is a failure."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from pytest_socket import disable_socket, enable_socket

HERE = Path(__file__).parent
UNIT = {HERE / "apps", HERE / "platform"}
LONG_FIRST = ("simulator", "chaos", "engine", "environments", "deployed", "journeys")
"""Folders in the order in which workers take their tests; all others come after them, so that at the end none
waits for one long file of another's."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first; a file stays with one worker, since its tests may share an environment."""
    places = {name: place for place, name in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: places.get(_folder(item), len(places)))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(HERE).parts[0]


@pytest.fixture(autouse=True)
def _sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    """Closes the network to unit tests; the event loop's own pair and a test's loopback server stay."""
    if UNIT & set(request.path.parents) and "loopback" not in request.keywords:
        disable_socket(allow_unix_socket=True)
        yield
        enable_socket()
    else:
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip into a failure where `GOBANK_NO_SKIP` is set, as it is in CI."""
    report = yield
    if report.skipped and os.environ.get("GOBANK_NO_SKIP"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what tests have recorded as `loudly`: what was not run as it should be, though nothing failed."""
    reports = (report for found in terminalreporter.stats.values() for report in found)
    properties = (each for report in reports for each in getattr(report, "user_properties", ()))
    for line in sorted({str(value) for name, value in properties if name == "loudly"}):
        terminalreporter.write_line(line, yellow=True, bold=True)
