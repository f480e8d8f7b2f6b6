"""A stage for each test."""

from collections.abc import Iterator

import pytest

from tests.apps.open_finance.stage import Stage, staged


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Our service beside simulated banks, where nothing counts as fresh."""
    with staged(fresh_seconds=0) as made:
        yield made
