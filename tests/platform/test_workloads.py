"""The workloads of an environment: what there is, in which order, and what they refuse."""

from dataclasses import replace
from typing import Any

import pytest

from apps.catalog import CATALOG
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from environments.graph.nodes import Node
from sizing import Growth
from tests.platform import cluster
from tests.platform.types_check import complaints

NAMESPACE = "kubernetes:core/v1:Namespace"
ACCOUNT = "kubernetes:core/v1:ServiceAccount"
SERVICE = "kubernetes:core/v1:Service"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"
AUTOSCALER = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
BINDING = "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding"
GROUP_POLICY = "kubernetes:vpcresources.k8s.aws/v1beta1:SecurityGroupPolicy"
QUOTA = "kubernetes:core/v1:ResourceQuota"
LIMITS = "kubernetes:core/v1:LimitRange"
OWNING_AWS = {BINDING, GROUP_POLICY}

BOTH = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
EACH = pytest.mark.parametrize("name", cluster.SETUPS)


def ours(graph: Graph) -> list[Node]:
    return graph.descendants(graph.one("gobanking:platform:Workloads"))


def kubernetes(graph: Graph) -> list[Node]:
    return [node for node in ours(graph) if node.type.startswith("kubernetes:")]


def services(graph: Graph, type_: str) -> set[str]:
    """The catalog's names of the services that have an object of a type."""
    return {node.inputs["metadata"]["name"].replace("-", "_") for node in graph.of_type(type_)}


@BOTH
@EACH
def test_every_input_is_one_that_the_sdk_knows(name: str, preview: bool) -> None:
    graph = cluster.graph(name, preview)
    assert [f"{node.name}: {said}" for node in graph for said in complaints(node)] == []


@BOTH
@EACH
def test_every_resource_has_a_component_above_it_and_every_object_the_given_provider(
    name: str, preview: bool
) -> None:
    graph = cluster.graph(name, preview)
    provider = graph.one("pulumi:providers:kubernetes")
    assert graph.outside_components() == []
    assert len(kubernetes(graph)) > 30
    assert {node.provider for node in kubernetes(graph)} == {provider.urn}


@BOTH
@EACH
def test_names_and_places_are_known_before_anything_exists(name: str, preview: bool) -> None:
    graph = cluster.graph(name, preview)
    for node in kubernetes(graph):
        metadata = node.inputs["metadata"]
        assert isinstance(metadata["name"], str)
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "go-banking"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "pulumi"
        if node.type != NAMESPACE:
            assert metadata["namespace"] == cluster.PREFIX
    assert graph.one(NAMESPACE).inputs["metadata"]["name"] == cluster.PREFIX


@BOTH
@EACH
def test_each_service_has_its_objects_and_a_job_only_who_it_is_and_whom_it_may_talk_to(
    name: str, preview: bool
) -> None:
    graph = cluster.graph(name, preview)
    catalog = cluster.SETUPS[name].deployed
    everything = {service.name for service in catalog.services}
    running = everything - {"operators", "repair_ledger"}
    called = {service.name for service in catalog.services if service.callers} | {"gateway"}
    assert services(graph, ACCOUNT) == everything
    assert services(graph, NETWORK_POLICY) == everything | {"default_deny"}
    assert services(graph, DEPLOYMENT) == running
    assert services(graph, BUDGET) == (running if cluster.SETUPS[name].growth.max_replicas > 1 else set())
    assert services(graph, SERVICE) == called
    assert services(graph, BINDING) == {"gateway"}


@EACH
def test_simulators_run_only_where_they_are_asked_for(name: str) -> None:
    setup, graph = cluster.SETUPS[name], cluster.graph(name)
    simulators = {each.name for each in CATALOG.services if each.kind == "simulator"}
    there = {each.name for each in setup.catalog.services} & simulators
    assert services(graph, ACCOUNT) & simulators == (there if setup.simulators else set())


@EACH
def test_only_what_grows_has_an_autoscaler_and_leaves_the_number_of_pods_to_it(name: str) -> None:
    graph = cluster.graph(name)
    scaled = services(graph, AUTOSCALER)
    fixed = {
        node.inputs["metadata"]["name"].replace("-", "_"): node.inputs["spec"]["replicas"]
        for node in graph.of_type(DEPLOYMENT)
        if "replicas" in node.inputs["spec"]
    }
    assert scaled | fixed.keys() == services(graph, DEPLOYMENT)
    assert scaled & fixed.keys() == set()
    for node in graph.of_type(AUTOSCALER):
        spec = node.inputs["spec"]
        assert spec["minReplicas"] == 2
        assert spec["maxReplicas"] == cluster.SETUPS[name].growth.max_replicas
        assert graph.one(DEPLOYMENT, node.name).inputs["metadata"]["name"] == spec["scaleTargetRef"]["name"]


def test_in_a_preview_with_one_partition_a_topic_has_one_reader() -> None:
    graph = cluster.graph("whole bank in a preview")
    replicas = {
        node.inputs["metadata"]["name"]: node.inputs["spec"].get("replicas")
        for node in graph.of_type(DEPLOYMENT)
    }
    assert services(graph, AUTOSCALER) == set()
    assert {name: replicas[name] for name in ("settle-transfers", "send-pix", "account")} == {
        "settle-transfers": 1,
        "send-pix": 1,
        "account": 2,
    }


# --- the order of the first `up`, and of the last `destroy` ----------------------------------------

ORDER = {
    "objects after the namespace": (DEPLOYMENT, NAMESPACE),
    "the namespace after the controllers": (NAMESPACE, "aws:eks/addon:Addon"),
    "pods after their accounts": (DEPLOYMENT, ACCOUNT),
    "pods after their associations": (
        DEPLOYMENT,
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    ),
    "pods after the stores": (DEPLOYMENT, "aws:dynamodb/table:Table"),
    "the binding after the Service": (BINDING, SERVICE),
    "the binding after the target group": (BINDING, "aws:lb/targetGroup:TargetGroup"),
    "the binding after its controller": (BINDING, "aws:eks/addon:Addon"),
    "the gateway after its binding": (DEPLOYMENT, BINDING),
    "the gateway after the rule that makes its targets healthy": (
        DEPLOYMENT,
        "aws:lb/listenerRule:ListenerRule",
    ),
    "the gateway after its Service": (DEPLOYMENT, SERVICE),
}


@BOTH
@EACH
@pytest.mark.parametrize("promise", ORDER)
def test_what_is_needed_comes_first(name: str, preview: bool, promise: str) -> None:
    graph = cluster.graph(name, preview)
    later, earlier = ORDER[promise]

    def gateways(type_: str) -> Node:
        found = [node for node in graph.of_type(type_) if "gateway" in node.name]
        return found[0] if found else graph.one(type_)

    assert graph.depends(gateways(later), gateways(earlier))
    assert not graph.depends(gateways(earlier), gateways(later))


@BOTH
@EACH
def test_pods_come_after_all_policies_that_hold_for_them(name: str, preview: bool) -> None:
    graph = cluster.graph(name, preview)
    default = graph.one(NETWORK_POLICY, "workloads-default-deny")
    for pods in graph.of_type(DEPLOYMENT):
        assert graph.depends(pods, default)
        assert graph.depends(pods, graph.one(NETWORK_POLICY, pods.name))
        assert graph.depends(pods, graph.one(ACCOUNT, pods.name))


@BOTH
@EACH
def test_an_address_never_waits_for_the_pods_behind_it(name: str, preview: bool) -> None:
    graph = cluster.graph(name, preview)
    pods = graph.of_type(DEPLOYMENT)
    for node in graph.of_type(SERVICE):
        assert node.inputs["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
        assert not any(graph.depends(node, each) for each in pods)


@BOTH
@EACH
def test_only_what_owns_something_of_aws_is_deleted_one_by_one(name: str, preview: bool) -> None:
    graph = cluster.graph(name, preview)
    namespace = graph.one(NAMESPACE)
    for node in kubernetes(graph):
        if node.type == NAMESPACE:
            continue
        assert graph.depends(node, namespace)
        assert node.deleted_with == (None if node.type in OWNING_AWS else namespace.urn)


# --- what they are told ---------------------------------------------------------------------------


def test_pods_run_the_image_and_have_the_variables_that_were_given() -> None:
    graph = cluster.graph("whole bank and Bacen")
    pods = graph.one(DEPLOYMENT, "workloads-settle-transfers").inputs["spec"]["template"]["spec"]
    (container,) = pods["containers"]
    assert container["image"] == f"registry/settle_transfers@sha256:{'0' * 64}"
    told = {each["name"]: each["value"] for each in container["env"]}
    assert told["SERVICE"] == "settle_transfers"
    assert told["PORT"] == "8011"
    assert told["KAFKA_GROUP"] == f"{cluster.PREFIX}-settle-transfers"
    assert told["KAFKA_BOOTSTRAP"] == "the kafka_bootstrap"


READERS = {service.name: service.secrets for service in CATALOG.services if service.secrets}


@pytest.mark.parametrize(
    "full", [set(), {"spi_certificate"}, CATALOG.secrets], ids=["none", "one", "all of them"]
)
def test_who_reads_a_secret_that_has_no_value_yet_is_not_waited_for(full: set[str]) -> None:
    filled = {secret: secret in full for secret in CATALOG.secrets}
    found = evaluate(lambda: cluster.program(cluster.SETUPS["whole bank and Bacen"], filled=filled))
    skipped = {
        node.inputs["metadata"]["name"].replace("-", "_"): annotations["pulumi.com/skipAwait"]
        for node in found.of_type(DEPLOYMENT)
        if (annotations := node.inputs["metadata"].get("annotations"))
    }
    assert skipped == {name: "false" if needs <= full else "true" for name, needs in READERS.items()}
    assert set(READERS) == {"dict_key", "open_finance", "send_pix", "receive_pix"}


def test_with_simulators_nobody_needs_a_secret_and_everybody_is_waited_for() -> None:
    found = cluster.graph("whole bank and simulators")
    assert {each for node in found.of_type(DEPLOYMENT) for each in node.inputs["metadata"]} == {
        *("name", "namespace", "labels")
    }


def test_only_values_that_nobody_knows_are_unknown_in_a_preview() -> None:
    graph = cluster.graph("whole bank and Bacen", preview=True)
    container = graph.one(DEPLOYMENT, "workloads-gateway").inputs["spec"]["template"]["spec"]["containers"][0]
    told = {each["name"]: each["value"] for each in container["env"]}
    assert container["image"] is UNKNOWN
    assert told["URL_ACCOUNT"] == f"http://account.{cluster.PREFIX}.svc.cluster.local:8001"
    assert told["COGNITO_ISSUER"] is UNKNOWN
    assert graph.one(NETWORK_POLICY, "workloads-account").inputs["spec"] is UNKNOWN
    closed = graph.one(NETWORK_POLICY, "workloads-default-deny").inputs["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@BOTH
@EACH
def test_a_shared_cluster_is_shared_within_bounds(name: str, preview: bool) -> None:
    graph = cluster.graph(name, preview)
    wanted = 1 if cluster.SETUPS[name].quota else 0
    assert (len(graph.of_type(QUOTA)), len(graph.of_type(LIMITS))) == (wanted, wanted)


def test_the_quota_has_room_for_every_pod_and_its_successor() -> None:
    graph = cluster.graph("whole bank in a preview")
    hard = graph.one(QUOTA).inputs["spec"]["hard"]
    cpu, memory, pods = 0, 0, 0
    for node in graph.of_type(DEPLOYMENT):
        (container,) = node.inputs["spec"]["template"]["spec"]["containers"]
        requests, count = container["resources"]["requests"], node.inputs["spec"]["replicas"] + 1
        cpu += count * int(requests["cpu"].removesuffix("m"))
        memory += count * int(requests["memory"].removesuffix("Mi"))
        pods += count
    jobs = [CATALOG.service(name) for name in ("operators", "repair_ledger")]
    cpu += sum(each.cpu_millis for each in jobs)
    memory += sum(each.memory_mib for each in jobs)
    assert hard["requests.cpu"] == f"{cpu}m"
    assert hard["requests.memory"] == f"{memory}Mi"
    assert hard["limits.memory"] == f"{2 * memory}Mi"
    assert hard["pods"] == str(pods + 2)


# --- what they refuse -----------------------------------------------------------------------------


def refused(setup: cluster.Setup, **changes: Any) -> list[str]:
    """The problems that were named."""
    with pytest.raises(ValueError, match="these workloads cannot be:") as raised:
        evaluate(lambda: cluster.program(setup, **changes))
    return [line.removeprefix("- ") for line in str(raised.value).splitlines()[1:]]


TWO_HOLDERS = replace(
    CATALOG,
    services=tuple(
        replace(each, egress=each.egress | {"dict"}) if each.name == "account" else each
        for each in CATALOG.services
    ),
)
REAL, SIMULATED = cluster.SETUPS["whole bank and Bacen"], cluster.SETUPS["whole bank and simulators"]


@pytest.mark.parametrize(
    ("setup", "changes", "problems"),
    [
        (
            REAL,
            {"egress": {}},
            [
                "egress 'dict' of dict_key leads nowhere: no ranges and no simulator",
                "egress 'spi' of send_pix, receive_pix leads nowhere: no ranges and no simulator",
            ],
        ),
        (
            SIMULATED,
            {"egress": {"dict": ("192.0.2.0/25", "192.0.2.128/25")}},
            [
                "egress 'dict' names 192.0.2.0/25, 192.0.2.128/25, though the simulator stands in for it",
            ],
        ),
        (
            replace(REAL, catalog=CATALOG.without(lambda service: service.name == "gateway")),
            {},
            ["the gateway 'gateway' is no service"],
        ),
        (
            replace(REAL, catalog=TWO_HOLDERS),
            {},
            ["egress 'dict' is given to 'account', 'dict_key': one service alone may talk to the DICT"],
        ),
        (
            cluster.SETUPS["whole bank and Bacen"],
            {"images": {}, "environment": {}},
            [
                f"service '{name}' has no {what}"
                for name in (
                    "gateway",
                    "account",
                    "transaction",
                    "relay_outbox",
                    "settle_transfers",
                    "sweep_transfers",
                    "audit_ledger",
                    "operators",
                    "repair_ledger",
                    "dict_key",
                    "open_finance",
                    "send_pix",
                    "receive_pix",
                    "refund_lookups",
                )
                for what in ("image", "environment")
            ],
        ),
    ],
    ids=["no ranges", "ranges and simulators", "no gateway", "two at the DICT", "nothing to run"],
)
def test_all_that_cannot_be_is_said_at_once(
    setup: cluster.Setup, changes: dict[str, Any], problems: list[str]
) -> None:
    assert refused(setup, **changes) == problems


def test_what_cannot_be_makes_nothing() -> None:
    made: list[str] = []

    def program() -> None:
        with pytest.raises(ValueError, match="cannot be"):
            cluster.program(REAL, egress={})
        made.append("the program went on")

    graph = evaluate(program)
    assert made == ["the program went on"]
    assert graph.of_type("gobanking:platform:Workloads") == []
    assert [node for node in graph if node.type.startswith("kubernetes:")] == []


def test_one_pod_each_is_a_bank_too() -> None:
    small = replace(SIMULATED, growth=Growth(max_replicas=1, one_partition=True))
    graph = evaluate(lambda: cluster.program(small))
    assert {node.inputs["spec"]["replicas"] for node in graph.of_type(DEPLOYMENT)} == {1}
