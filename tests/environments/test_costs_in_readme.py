"""What the README says that each kind of stack costs is what the estimate says."""

from pathlib import Path

import pytest

from environments.cost import BUSY, QUIET, estimate
from environments.preview.estimate import DAYS
from environments.pricing import Usage
from environments.resources import Resource
from tests.platform.examples import graph

ROOT = Path(__file__).parents[2]
NEAR = 0.02
"""A table more or less is no reason to write the document anew."""
DOCUMENTS = ("README.md", "README.pt-BR.md")


def monthly(example: str, usage: Usage) -> float:
    nodes = [Resource(node.type, node.name, node.urn, node.parent, node.inputs) for node in graph(example)]
    return estimate(nodes, "sa-east-1", usage).total


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize(
    ("kind", "example", "usage"),
    [("`dev`", "dev", QUIET), ("`prod`", "prod", BUSY), ("`preview`", "preview", QUIET)],
    ids=["dev", "prod", "preview"],
)
def test_the_table_has_the_costs_of_today(document: str, kind: str, example: str, usage: Usage) -> None:
    (row,) = [line for line in (ROOT / document).read_text().splitlines() if line.startswith(f"| {kind} |")]
    found = monthly(example, usage)
    month, day = row.split("|")[2:4]
    assert float(month) == pytest.approx(found, rel=NEAR, abs=0.5)
    assert float(day) == pytest.approx(found / DAYS, rel=NEAR, abs=0.02)
