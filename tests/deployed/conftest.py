"""The bank as the resource graph describes it, up once for all tests of what is deployed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from apps.catalog import CATALOG
from environments.graph.evaluation import Graph, evaluate
from tests.deployed import smoke
from tests.deployed.cluster import Cluster
from tests.deployed.containers import Containers
from tests.deployed.emulated import Cloud
from tests.deployed.smoke import Person
from tests.platform.examples import EXAMPLES, program


@dataclass(frozen=True)
class Deployed:
    """The stack `dev` as it is committed, on an emulated cloud."""

    graph: Graph
    cloud: Cloud
    cluster: Cluster

    @property
    def cognito(self) -> dict[str, str]:
        """What a client needs to sign in: the stack's own outputs, and where Cognito is here."""
        return {
            "endpoint": self.cloud.stack.url,
            "user_pool_id": self.graph.outputs["user_pool_id"],
            "client_id": self.graph.outputs["app_client_id"],
        }


# No longer than its own tests: a whole bank that idles takes half a processor from the others.
@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder: Path = tmp_path_factory.mktemp("deployed")
    cloud, example = Cloud(folder), EXAMPLES["dev"]
    try:
        cloud.start()
        graph = evaluate(
            lambda: program(example, CATALOG),
            config=example.config(CATALOG),
            stack=example.stack,
            computed=cloud.computed,
        )
        cloud.make(graph)
        cluster = Cluster(graph, cloud, Containers(folder))
        try:
            cluster.start()
            yield Deployed(graph, cloud, cluster)
        finally:
            cluster.stop()
    finally:
        cloud.stop()


@pytest.fixture(scope="module")
def people(bank: Deployed) -> list[Person]:
    """Two people, one of whom has paid the other: the smoke test, which everything else here follows."""
    return smoke.run(bank.cluster.gateway_url, bank.cognito)
