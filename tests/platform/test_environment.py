"""The whole environment as one graph: dev, prod and a preview, in update and in preview mode."""

import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import names
import sizing
from apps.catalog import CATALOG
from base import CONTRACT_VERSION, VALUES, Base, WrongBase
from configuration_values import SettingsError
from environments.graph.evaluation import UNKNOWN, Graph, Node, evaluate
from sizing import Growth
from tests.platform.examples import (
    ALL,
    BASE_STACK,
    EXAMPLES,
    PROGRAM,
    Example,
    base_outputs,
    graph,
    program,
)
from tests.platform.types_check import complaints

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
BINDING = "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding"
RELEASE = "kubernetes:helm.sh/v3:Release"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"

BOTH_MODES = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
EVERY = pytest.mark.parametrize("name", ALL)
JOBS = {"operators", "repair-ledger"}


# --- what holds of every environment -------------------------------------------------------------


@EVERY
@BOTH_MODES
def test_every_resource_takes_what_its_sdk_says(name: str, preview: bool) -> None:
    found = graph(name, preview=preview)
    assert {node.urn: said for node in found if (said := complaints(node))} == {}
    assert found.messages == ()


@EVERY
def test_every_resource_hangs_under_the_environment(name: str) -> None:
    found = graph(name)
    assert found.outside_components() == []
    top = found.one("gobanking:platform:Environment")
    ours = {node.urn for node in found.descendants(top)}
    assert {node.urn for node in found if node.custom and not node.type.startswith("pulumi:")} <= ours


@EVERY
def test_a_preview_of_an_update_promises_the_same_resources(name: str) -> None:
    assert graph(name, preview=True).fingerprint() == graph(name).fingerprint()


@EVERY
def test_no_component_ends_without_saying_so(name: str) -> None:
    silent = [node.urn for node in graph(name) if node.component and not node.remote and node.outputs is None]
    assert silent == [], "register_outputs was not called"


@EVERY
def test_the_tokens_of_our_components_are_of_one_form(name: str) -> None:
    """They are in every URN, so they are for ever."""
    ours = {node.type for node in graph(name) if node.component and not node.remote}
    assert {token for token in ours if not re.fullmatch(r"gobanking:platform:[A-Z]\w+", token)} == set()


@EVERY
def test_everything_on_aws_goes_through_the_provider_that_tags(name: str) -> None:
    found = graph(name)
    provider = found.one("pulumi:providers:aws")
    tags = json.loads(provider.inputs["defaultTags"])["tags"]
    assert tags["gobanking:stack"] == EXAMPLES[name].stack
    elsewhere = [
        node.urn
        for node in found
        if node.type.startswith("aws:") and node.custom and node.provider != provider.urn
    ]
    assert elsewhere == []
    for cluster in found.of_type("eks:index:Cluster"):
        assert cluster.providers["aws"] == provider.urn


@EVERY
def test_everything_in_the_cluster_names_its_provider(name: str) -> None:
    found = graph(name)
    providers = {node.urn for node in found.of_type("pulumi:providers:kubernetes")}
    inside = [node for node in found if node.type.startswith("kubernetes:")]
    assert inside
    assert [node.urn for node in inside if node.provider not in providers] == []


@EVERY
def test_names_of_one_type_differ(name: str) -> None:
    """Two environments on one cluster or account meet by physical names: none may be given twice."""
    seen: dict[tuple[str, str, str], str] = {}
    for node in graph(name):
        given_name = node.inputs.get("name") or node.inputs.get("metadata", {}).get("name")
        if not node.custom or not isinstance(given_name, str):
            continue
        place = str(node.inputs.get("metadata", {}).get("namespace", ""))
        assert (node.type, place, given_name) not in seen, node.urn
        seen[node.type, place, given_name] = node.urn


def test_the_folder_runs_as_pulumi_runs_it() -> None:
    example = EXAMPLES["dev with a domain"]
    by_folder = evaluate(PROGRAM, config=example.config(), stack=example.stack)
    assert by_folder.fingerprint() == graph("dev with a domain").fingerprint()
    assert by_folder.outputs.keys() == graph("dev with a domain").outputs.keys()


def test_no_module_of_the_program_hides_one_of_python() -> None:
    ours = {path.stem for path in PROGRAM.glob("*.py")}
    assert ours & set(sys.stdlib_module_names) == set()
    assert not (PROGRAM / "__init__.py").exists()


def test_every_service_of_the_catalog_is_in_the_cluster_of_dev() -> None:
    there = {node.inputs["metadata"]["name"] for node in graph("dev").of_type(DEPLOYMENT)}
    assert there == {names.workload(each.name) for each in CATALOG.services if each.kind != "job"}


# --- what an environment exports -----------------------------------------------------------------


def documented(name: str) -> set[str]:
    """The outputs of a README's table, by the names in its first column."""
    _, table = re.split(r"\| (?:output|saída) \|.*\n\| --- .*\n", (PROGRAM.parent / name).read_text())
    rows = table.partition("\n\n")[0].splitlines()
    return {output for row in rows for output in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_a_stack_exports_what_people_need_and_what_previews_build_on() -> None:
    found = graph("dev with a domain")
    assert set(found.outputs) == documented("README.md") == documented("README.pt-BR.md")
    assert found.secret_outputs == {"kubeconfig"}
    assert found.outputs["api_url"] == "https://dev.bank.com.br"
    assert json.loads(found.outputs["kubeconfig"])["kind"] == "Config"
    assert len(found.outputs["nat_addresses"]) == 1
    base = found.outputs["base"]
    assert base["contract_version"] == CONTRACT_VERSION
    assert set(base) == {"contract_version", *VALUES}
    assert [name for name, value in base.items() if value in (None, UNKNOWN)] == []


def test_without_a_domain_the_api_is_at_the_load_balancers_name() -> None:
    balancer = graph("dev").one("aws:lb/loadBalancer:LoadBalancer").outputs or {}
    assert graph("dev").outputs["api_url"] == f"http://{balancer['dnsName']}"


def test_a_preview_exports_no_base_and_is_below_the_wildcard() -> None:
    found = graph("preview")
    assert set(found.outputs) == {
        *("api_url", "user_pool_id", "app_client_id", "kubeconfig", "nat_addresses"),
        *("operators_job", "repair_job"),
    }
    assert found.outputs["api_url"] == "https://pr-pix-0a1b2c.preview.dev.bank.com.br"
    assert found.outputs["user_pool_id"] == base_outputs()["user_pool_id"]


def test_both_bases_keep_one_contract() -> None:
    assert tuple(each.name for each in fields(Base) if each.name != "ready") == VALUES


@pytest.mark.parametrize(
    ("exported", "says"),
    [
        pytest.param(None, "exports no `base`", id="no base"),
        pytest.param({"contract_version": "0"}, "contract version 0, this program needs 1", id="another"),
        pytest.param({"contract_version": "1", "vpc_id": "vpc-1"}, "lacks account_id, ", id="incomplete"),
    ],
)
def test_a_base_that_cannot_be_built_on_is_refused_by_name(exported: Any, says: str) -> None:
    example = EXAMPLES["preview"]
    outputs = {} if exported is None else {"base": exported}
    with pytest.raises(WrongBase, match=says) as refused:
        evaluate(
            lambda: program(example, CATALOG),
            config=example.config(CATALOG),
            stack=example.stack,
            stack_outputs={BASE_STACK: outputs},
        )
    assert f"gobanking:baseStack '{BASE_STACK}'" in str(refused.value)


# --- first up: nothing waits for what comes after it ---------------------------------------------


def needs(found: Graph, later: Iterable[Node], sooner: Iterable[Node]) -> list[str]:
    """Which of `later` does not wait for which of `sooner`; there are some of each."""
    later, sooner = list(later), list(sooner)
    assert later
    assert sooner
    return [f"{a.urn} / {b.urn}" for a in later for b in sooner if not found.depends(a, b)]


def deployments(found: Graph, *services: str) -> list[Node]:
    wanted = {names.workload(service) for service in services}
    return [
        node
        for node in found.of_type(DEPLOYMENT)
        if not services or node.inputs["metadata"]["name"] in wanted
    ]


@EVERY
def test_the_gateway_starts_when_the_load_balancer_can_find_it_healthy(name: str) -> None:
    """A target group without a listener's rule never passes the readiness gate."""
    found = graph(name)
    gateway = deployments(found, "gateway")
    assert needs(found, gateway, found.of_type(BINDING)) == []
    assert needs(found, gateway, found.of_type("aws:lb/listenerRule:ListenerRule")) == []
    assert not found.depends(found.one("aws:lb/listenerRule:ListenerRule"), gateway[0])


def test_custom_objects_wait_for_the_controller_that_knows_them() -> None:
    found = graph("dev")
    controllers = found.of_type(RELEASE)
    assert needs(found, found.of_type(BINDING), controllers) == []
    assert needs(found, found.of_type(DEPLOYMENT), found.of_type("aws:eks/addon:Addon")) == []


@EVERY
def test_pods_start_with_their_rights_tables_topics_and_network_rules(name: str) -> None:
    found = graph(name)
    pods = deployments(found)
    for kind in (
        "aws:dynamodb/table:Table",
        "aws:msk/topic:Topic",
        "aws:secretsmanager/secret:Secret",
        "kubernetes:core/v1:Namespace",
    ):
        assert needs(found, pods, found.of_type(kind)) == [], kind
    policies = {node.inputs["metadata"]["name"]: node for node in found.of_type(POLICY)}
    for pod in pods:
        own = policies.pop(pod.inputs["metadata"]["name"])
        assert found.depends(pod, own), pod.urn
    everyones = [policies[name] for name in policies if name not in JOBS]
    assert needs(found, pods, everyones) == []
    ours = [node for node in found.of_type(ASSOCIATION) if node.inputs["namespace"] != "kube-system"]
    services = [node for node in ours if "amazon-cloudwatch" not in str(node.inputs["namespace"])]
    assert needs(found, pods, services) == []


@EVERY
def test_consumers_are_rolled_out_before_producers(name: str) -> None:
    """A record of a newer version that met an older consumer would pause its partition."""
    found = graph(name)
    consumers = deployments(found, *(each.name for each in CATALOG.services if each.consumes))
    writers = {"account", "transaction", "relay_outbox", "receive_pix", "sweep_transfers"}
    assert {each.name for each in CATALOG.services if each.produces and each.kind != "job"} <= writers
    assert needs(found, deployments(found, *writers), consumers) == []
    others = [node for node in deployments(found) if not found.depends(node, consumers[0])]
    assert {node.urn for node in consumers} <= {node.urn for node in others}, "a consumer waits for none"
    bystanders = deployments(found, "gateway", "dict_key", "open_finance", "audit_ledger")
    assert {node.urn for node in bystanders} <= {node.urn for node in others}


def test_each_thing_waits_for_the_thing_it_is_in() -> None:
    found = graph("prod")
    assert needs(found, found.of_type("aws:msk/topic:Topic"), found.of_type("aws:msk/cluster:Cluster")) == []
    assert needs(found, found.of_type("aws:eks/nodeGroup:NodeGroup"), _private_routes(found)) == []
    assert needs(found, found.of_type(RELEASE), found.of_type("aws:eks/nodeGroup:NodeGroup")) == []
    repositories = {node.inputs["name"]: node for node in found.of_type("aws:ecr/repository:Repository")}
    images = found.of_type("docker-build:index:Image")
    assert len(images) == len(repositories)
    for image in images:
        name = image.inputs["tags"][0].rpartition(":")[0].partition("/")[2]
        assert found.depends(image, repositories[name])
    validated = found.of_type("aws:acm/certificateValidation:CertificateValidation")
    for listener in found.of_type("aws:lb/listener:Listener"):
        if listener.inputs["protocol"] == "HTTPS":
            assert needs(found, [listener], validated) == []


def _private_routes(found: Graph) -> list[Node]:
    return [node for node in found.of_type("aws:ec2/route:Route") if "natGatewayId" in node.inputs]


@EVERY
def test_an_image_is_known_by_its_digest_where_it_runs(name: str) -> None:
    found = graph(name)
    for deployment in deployments(found):
        (container,) = deployment.inputs["spec"]["template"]["spec"]["containers"]
        assert "@sha256:" in container["image"], deployment.urn


# --- what an environment may not lose, and what it may cost ---------------------------------------

STATEFUL = {
    "aws:cognito/userPool:UserPool",
    "aws:dynamodb/table:Table",
    "aws:ec2/eip:Eip",
    "aws:kms/key:Key",
    "aws:msk/cluster:Cluster",
    "aws:msk/topic:Topic",
    "aws:secretsmanager/secret:Secret",
}
"""What holds money, people, keys or the addresses that Bacen knows us by."""
EXPENSIVE = {
    "aws:ec2/natGateway:NatGateway",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:kms/key:Key",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:msk/cluster:Cluster",
    "aws:wafv2/webAcl:WebAcl",
    "eks:index:Cluster",
}
"""What costs money while nobody uses it."""


def test_prod_protects_what_holds_state_and_dev_does_not() -> None:
    kept = [node for node in graph("prod") if node.type in STATEFUL]
    assert {node.type for node in kept} == STATEFUL
    assert [node.urn for node in kept if not node.protect] == []
    assert [node.urn for node in graph("dev") if node.protect] == []
    tables = graph("prod").of_type("aws:dynamodb/table:Table")
    assert all(table.inputs["deletionProtectionEnabled"] for table in tables)


def test_a_preview_makes_nothing_that_costs_while_idle() -> None:
    found = graph("preview")
    assert [node.urn for node in found if node.type in EXPENSIVE] == []
    assert {node.type for node in graph("dev")} >= EXPENSIVE - {"aws:wafv2/webAcl:WebAcl"}
    for table in found.of_type("aws:dynamodb/table:Table"):
        assert table.inputs["billingMode"] == "PAY_PER_REQUEST"
    assert all(topic.inputs["partitionCount"] == 1 for topic in found.of_type("aws:msk/topic:Topic"))


def test_simulators_run_in_dev_and_previews_and_never_in_prod() -> None:
    simulators = {names.workload(each.name) for each in CATALOG.services if each.kind == "simulator"}
    for name in ("dev", "preview"):
        there = {node.inputs["metadata"]["name"] for node in deployments(graph(name))}
        assert simulators <= there
    text = graph("prod").snapshot()
    assert [each for each in simulators if f'"{each}"' in text] == []


SYSTEM_CPU_MILLIS, SYSTEM_MEMORY_MIB, SYSTEM_PODS = 700, 900, 14
"""What one node's daemons and its share of the controllers ask for, from their charts: CNI, proxy, agents
(Pod Identity, logs, monitoring, metrics), CoreDNS, metrics-server, autoscaler, load balancer controller."""
M7G_LARGE = {"cpu": 1930, "memory": 6900, "pods": 110, "branch_interfaces": 9}
"""What EKS leaves to pods of an m7g.large: 2 vCPU and 8 GiB less its own reservation."""


def test_the_nodes_carry_the_bank_and_its_previews() -> None:
    cluster = EXAMPLES["dev"].config()
    nodes, previews = int(cluster["gobanking:nodes"]), int(cluster["gobanking:previews"])
    at_most = int(cluster["gobanking:maxNodes"])
    growth = Growth(max_replicas=int(cluster["gobanking:maxReplicas"]), one_partition=False)
    alone = sizing.least(CATALOG, growth)
    shared = sum((sizing.least(CATALOG, Growth(1, one_partition=True)) for _ in range(previews)), alone)
    for asked, count in ((alone, nodes), (shared, at_most)):
        assert asked.cpu_millis <= count * (M7G_LARGE["cpu"] - SYSTEM_CPU_MILLIS)
        assert asked.memory_mib <= count * (M7G_LARGE["memory"] - SYSTEM_MEMORY_MIB)
        assert asked.pods <= count * (M7G_LARGE["pods"] - SYSTEM_PODS)
        assert asked.branch_interfaces <= count * M7G_LARGE["branch_interfaces"]


# --- refactoring moves nothing --------------------------------------------------------------------

Snapshot = Callable[[str, str], None]


@pytest.mark.parametrize("name", ["dev", "prod", "preview"])
def test_urns_stay_what_they_are(name: str, snapshot: Snapshot) -> None:
    """A URN that changes without an alias is a resource deleted and made anew: a table, a user pool."""
    snapshot(f"urns-{name}", json.dumps(graph(name).fingerprint(), indent=1) + "\n")


@pytest.mark.parametrize("name", ["dev", "prod", "preview"])
def test_the_graph_is_the_one_that_was_reviewed(name: str, snapshot: Snapshot) -> None:
    """Inputs alone, and URNs by their ends: who waits for whom is tested above, and would drown the rest."""
    resources = json.loads(graph(name).snapshot())["resources"]
    inputs = {_end(urn): described.get("inputs", {}) for urn, described in resources.items()}
    snapshot(f"environment-{name}", json.dumps(inputs, indent=1, sort_keys=True) + "\n")


def _end(urn: str) -> str:
    """`urn:pulumi:dev::gobanking::Outer$aws:kms/key:Key::tables` as `aws:kms/key:Key tables`."""
    *_, chain, name = urn.split("::")
    return f"{chain.rpartition('$')[2]} {name}"


# --- any settings ----------------------------------------------------------------------------------


@st.composite
def variations(draw: st.DrawFn) -> dict[str, Any]:
    """Settings as people vary them; some of these cannot be."""
    choices: dict[str, st.SearchStrategy[Any]] = {
        "vpcCidr": st.sampled_from(["10.0.0.0/16", "10.4.0.0/17", "172.16.0.0/18", "8.8.0.0/16"]),
        "natPerZone": st.booleans(),
        "interfaceEndpoints": st.booleans(),
        "flowLogs": st.sampled_from(["ALL", "REJECT"]),
        "nodes": st.integers(1, 8),
        "kafkaBrokers": st.sampled_from([2, 3, 4, 6]),
        "mfa": st.sampled_from(["OFF", "OPTIONAL", "ON"]),
        "waf": st.booleans(),
        "containerInsights": st.booleans(),
        "alarmEmail": st.sampled_from(["", "ops@bank.com.br"]),
        "maxReplicas": st.integers(2, 100),
        "outboxShards": st.integers(1, 64),
        "prefix": st.from_regex(r"[a-z][a-z0-9]{0,24}", fullmatch=True),
    }
    return {key: draw(value) for key, value in choices.items() if draw(st.booleans())}


@given(more=variations())
@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_settings_are_refused_before_any_resource_or_give_a_sound_graph(more: dict[str, Any]) -> None:
    example = Example("dev", "Pulumi.dev.yaml", {"imageSource": "given", **more})
    try:
        found = evaluate(lambda: program(example, CATALOG), config=example.config(CATALOG), stack="dev")
    except SettingsError:
        # Whose messages are the matter of test_configuration.
        return
    assert [said for node in found for said in complaints(node)] == []
    assert found.outside_components() == []
    prefix = more.get("prefix", "dev")
    for table in found.of_type("aws:dynamodb/table:Table"):
        assert table.inputs["name"].startswith(f"{prefix}-")


def test_the_program_says_everything_that_is_wrong_with_its_settings() -> None:
    example = Example("dev", "Pulumi.dev.yaml", {"nodes": 0, "vpcCidr": "8.8.8.0/24"})
    # The folder's own modules are imported anew, so its error is not the one that is imported here.
    with pytest.raises(Exception, match="stack dev cannot be as it is configured") as refused:
        evaluate(PROGRAM, config=example.config(), stack="dev")
    assert type(refused.value).__name__ == SettingsError.__name__
    assert "gobanking:nodes = 0 (Pulumi.dev.yaml)" in str(refused.value)
    assert "gobanking:vpcCidr = 8.8.8.0/24 (Pulumi.dev.yaml)" in str(refused.value)
