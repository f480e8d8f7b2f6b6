"""Policies as data: closed first, then exactly the catalog."""

from dataclasses import replace
from typing import Any

import pytest

import network_policies
import sizing
from apps.catalog import CATALOG
from network_policies import Addresses, policy

AT = Addresses(
    vpc="10.20.0.0/16",
    public=("10.20.0.0/24", "10.20.1.0/24"),
    isolated=("10.20.8.0/24",),
    dynamodb=("52.94.2.0/24",),
    interface_endpoints=True,
    dict=("192.0.2.0/25",),
    spi=("203.0.113.0/24",),
)
SIMULATED = replace(AT, dict=(), spi=())
REAL = sizing.deployed(CATALOG, False)

DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
}


def tcp(port: int) -> list[dict[str, Any]]:
    return [{"port": port, "protocol": "TCP"}]


def pods(*workloads: str) -> list[dict[str, Any]]:
    return [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}} for name in workloads]


def ranges(*cidrs: str) -> list[dict[str, Any]]:
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]


def to(peers: list[dict[str, Any]], port: int) -> dict[str, Any]:
    return {"to": peers, "ports": tcp(port)}


AGENT = to(ranges("169.254.170.23/32"), 80)
DYNAMODB = to(ranges("52.94.2.0/24"), 443)
ENDPOINTS = to(ranges("10.20.8.0/24"), 443)
BROKERS = to(ranges("10.20.8.0/24"), 9098)
DICT = to(ranges("192.0.2.0/25"), 443)
SPI = to(ranges("203.0.113.0/24"), 443)


def test_nothing_is_open_by_default() -> None:
    assert network_policies.default_deny() == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_gateway_is_called_from_the_public_subnets_and_calls_by_the_catalog() -> None:
    found = policy(REAL, REAL.service("gateway"), AT, "gateway")
    assert found == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "gateway"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": ranges("10.20.0.0/24", "10.20.1.0/24"), "ports": tcp(8000)}],
        "egress": [
            to(pods("account"), 8001),
            to(pods("transaction"), 8002),
            to(pods("dict-key"), 8003),
            to(pods("open-finance"), 8004),
            to([network_policies.elsewhere(AT)], 443),
            DNS,
        ],
    }


def test_dict_key_is_reached_by_its_callers_and_reaches_the_dict_and_aws() -> None:
    found = policy(REAL, REAL.service("dict_key"), AT, "gateway")
    assert found["ingress"] == [{"from": pods("gateway", "open-finance", "transaction"), "ports": tcp(8003)}]
    assert found["egress"] == [DICT, DNS, DYNAMODB, AGENT, ENDPOINTS]


def test_a_simulator_stands_in_for_the_ranges() -> None:
    found = policy(CATALOG, CATALOG.service("dict_key"), SIMULATED, "gateway")
    assert found["egress"] == [to(pods("bacen"), 8020), DNS, DYNAMODB, AGENT, ENDPOINTS]
    found = policy(CATALOG, CATALOG.service("open_finance"), SIMULATED, "gateway")
    assert found["egress"][:2] == [to(pods("dict-key"), 8003), to(pods("other-bank"), 8021)]
    found = policy(CATALOG, CATALOG.service("bacen"), SIMULATED, "gateway")
    callers = pods("dict-key", "other-bank", "receive-pix", "send-pix")
    assert found["ingress"] == [{"from": callers, "ports": tcp(8020)}]
    assert found["egress"] == [to(pods("other-bank"), 8021), DNS]


def test_a_worker_takes_no_connection_and_reaches_the_brokers() -> None:
    found = policy(REAL, REAL.service("send_pix"), AT, "gateway")
    assert found["ingress"] == []
    assert found["egress"] == [DNS, DYNAMODB, BROKERS, AGENT, SPI, ENDPOINTS]


def test_a_job_has_a_policy_too() -> None:
    found = policy(REAL, REAL.service("operators"), AT, "gateway")
    assert found["ingress"] == []
    assert found["egress"] == [DNS, DYNAMODB, BROKERS, AGENT]


def test_without_interface_endpoints_the_isolated_subnets_answer_no_secret() -> None:
    found = policy(REAL, REAL.service("dict_key"), replace(AT, interface_endpoints=False), "gateway")
    assert ENDPOINTS not in found["egress"]


@pytest.mark.parametrize(
    ("vpc", "closed"),
    [
        (
            "10.20.0.0/16",
            {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"},
        ),
        (
            "198.18.0.0/16",
            {
                "198.18.0.0/16",
                "10.0.0.0/8",
                "172.16.0.0/12",
                "192.168.0.0/16",
                "100.64.0.0/10",
                "169.254.0.0/16",
            },
        ),
    ],
    ids=["private", "public"],
)
def test_the_internet_is_all_but_the_vpc_private_ranges_the_node_and_bacen(
    vpc: str, closed: set[str]
) -> None:
    block = network_policies.elsewhere(replace(AT, vpc=vpc))["ipBlock"]
    assert block["cidr"] == "0.0.0.0/0"
    assert set(block["except"]) == closed | {"192.0.2.0/25", "203.0.113.0/24"}


@pytest.mark.parametrize(
    ("service", "at"),
    [
        ("gateway", replace(AT, public=())),
        ("account", replace(AT, dynamodb=())),
        ("settle_transfers", replace(AT, isolated=())),
    ],
    ids=["public", "dynamodb", "isolated"],
)
def test_a_range_that_is_missing_is_refused_and_not_opened_to_everybody(service: str, at: Addresses) -> None:
    with pytest.raises(ValueError, match=r"has no '(to|from)'"):
        policy(REAL, REAL.service(service), at, "gateway")
