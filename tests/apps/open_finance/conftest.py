"""A stage for each test."""

from collections.abc import Iterator

import pytest

from tests.apps.open_finance.stage import Stage, staged


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Our service beside simulated banks: nothing counts as fresh, and a busy machine is no slow bank."""
    with staged(fresh_seconds=0, bank_deadline_ms=30_000) as made:
        yield made
