"""Who talks to whom in a whole environment: base, edge and workloads together, against the catalog."""

import json

import pytest

import sizing
from apps.catalog import CATALOG
from environments.graph.evaluation import Graph
from tests.platform.addresses import Addresses
from tests.platform.examples import EXAMPLES, base_outputs, graph
from tests.platform.locks import World
from tests.platform.reachability import BOTH, Lock, differences, found, promised

CREATED = ("dev", "dev with a domain", "prod")


def world(name: str, whole: Graph) -> World:
    """What is around an environment's pods, from what its base exports."""
    base = base_outputs()["base"] if name == "preview" else whole.outputs["base"]
    egress = EXAMPLES[name].config(CATALOG)
    ranges = {key: Addresses.of(*json_list(egress[f"gobanking:{key}Cidrs"])) for key in ("dict", "spi")}
    return World(
        namespace=whole.one("kubernetes:core/v1:Namespace").inputs["metadata"]["name"],
        vpc=Addresses.of(base["vpc_cidr"]),
        public=Addresses.of(*base["public_cidrs"]),
        private=Addresses.of(*base["private_cidrs"]),
        isolated=Addresses.of(*base["isolated_cidrs"]),
        interface_endpoints=base["interface_endpoints"],
        dynamodb=Addresses.of(*base["dynamodb_cidrs"]),
        dict=ranges["dict"],
        spi=ranges["spi"],
        gateway="gateway",
        cluster_group=base["cluster_security_group_id"],
        groups={base["load_balancer_security_group_id"]: Addresses.of(*base["public_cidrs"])},
        prefix_lists={base["dynamodb_prefix_list_id"]: Addresses.of(*base["dynamodb_cidrs"])},
    )


@pytest.mark.parametrize("locks", [BOTH, frozenset({"policies"})], ids=["both locks", "policies alone"])
@pytest.mark.parametrize("name", CREATED)
def test_who_talks_to_whom_is_what_the_catalog_says(name: str, locks: frozenset[Lock]) -> None:
    whole = graph(name)
    around = world(name, whole)
    deployed = sizing.deployed(CATALOG, name != "prod")
    assert differences(found(whole, around, locks), promised(deployed, around)) == []


def test_a_preview_opens_what_the_catalog_says_and_no_more() -> None:
    """Its security groups hang on the base's, which are not in its graph: policies are what is looked at."""
    whole = graph("preview")
    around = world("preview", whole)
    matrix = found(whole, around, frozenset({"policies"}))
    assert differences(matrix, promised(CATALOG, around)) == []


def json_list(text: str) -> list[str]:
    loaded: list[str] = json.loads(text)
    return loaded


def test_the_public_reaches_the_load_balancer_on_its_ports_alone() -> None:
    def opened(name: str) -> set[tuple[int, str]]:
        return {
            (rule.inputs["fromPort"], rule.inputs["cidrIpv4"])
            for rule in graph(name).of_type("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
            if "cidrIpv4" in rule.inputs
        }

    vpc = {(443, "10.0.0.0/16")}
    assert opened("dev") == {(80, "0.0.0.0/0")}
    assert opened("dev with a domain") == {(80, "0.0.0.0/0"), (443, "0.0.0.0/0")}
    assert opened("prod") == {(80, "0.0.0.0/0"), (443, "0.0.0.0/0")} | vpc
    assert opened("preview") == set()
