"""The emulated providers are good enough to trust what the engine says of a program that runs on them.

One stack lives its whole life once, and the tests look at what was seen of it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as kubernetes
import pytest
from pulumi import automation
from pulumi.automation.events import EngineEvent

from tests.engine.cloud import Call, Cloud
from tests.engine.conftest import MakeWorkspace
from tests.engine.stacks import Steps, Workspace

WRITTEN = {
    *("vpc", "subnet", "pods", "transfers", "gateway-role", "gateway-tables", "pin"),
    *("cluster", "kubernetes", "bank", "gateway"),
}
OF_THE_CLUSTER = {"cluster-eksRole-role", "cluster-eksCluster", "cluster-provider"}
ALL = WRITTEN | OF_THE_CLUSTER
NOT_CREATED = {"cluster", "kubernetes", "cluster-provider"}
"""The component and the providers: no provider is asked to create them."""

STANDS_ON = [
    ("subnet", "vpc"),
    ("pods", "vpc"),
    ("gateway-tables", "gateway-role"),
    ("gateway-tables", "transfers"),
    ("cluster-eksCluster", "subnet"),
    ("cluster-eksCluster", "cluster-eksRole-role"),
    ("bank", "cluster-eksCluster"),
    ("gateway", "bank"),
]


@dataclass
class Bank:
    """A program in the shape of the real one. `seen` is what its callbacks were given."""

    replicas: int = 1
    owner: str = "payments"
    cidr: str = "10.0.0.0/16"
    hash_key: str = "pk"
    seen: dict[str, Any] = field(default_factory=dict)

    def __call__(self) -> None:
        vpc = aws.ec2.Vpc("vpc", cidr_block=self.cidr)
        subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="10.0.0.0/20")
        aws.ec2.SecurityGroup("pods", vpc_id=vpc.id, description="Pods")
        table = aws.dynamodb.Table(
            "transfers",
            name="dev-transfers",
            hash_key=self.hash_key,
            attributes=[{"name": self.hash_key, "type": "S"}],
            tags={"gobanking:owner": self.owner},
        )
        role = aws.iam.Role("gateway-role", assume_role_policy="{}")
        policy = pulumi.Output.json_dumps({"Resource": table.arn})
        aws.iam.RolePolicy("gateway-tables", role=role.name, policy=policy)
        pin = aws.ssm.Parameter("pin", type="SecureString", value=pulumi.Output.secret("0-0-0-7"))
        cluster = eks.Cluster(
            "cluster",
            vpc_id=vpc.id,
            private_subnet_ids=[subnet.id],
            skip_default_node_group=True,
            authentication_mode=eks.AuthenticationMode.API,
        )
        provider = kubernetes.Provider("kubernetes", kubeconfig=cluster.kubeconfig_json)
        inside = pulumi.ResourceOptions(provider=provider)
        bank = kubernetes.core.v1.Namespace("bank", metadata={"name": "bank"}, opts=inside)
        labels = {"app": "gateway"}
        gateway = kubernetes.apps.v1.Deployment(
            "gateway",
            metadata={"namespace": bank.metadata.name},
            spec={
                "replicas": self.replicas,
                "selector": {"match_labels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": []}},
            },
            opts=inside,
        )
        self._show(
            cidr=vpc.cidr_block,
            cluster_arn=cluster.eks_cluster.arn,
            cluster_group=cluster.cluster_security_group_id,
            cluster_vpc=cluster.core.vpc_id,
            gateway=gateway.metadata.name,
            kubeconfig=cluster.kubeconfig_json,
            pin=pin.value,
            role_name=role.name,
            table_arn=table.arn,
            vpc_id=vpc.id,
        )

    def _show(self, **outputs: pulumi.Output[Any]) -> None:
        for name, value in outputs.items():
            value.apply(lambda known, name=name: self.seen.update({name: known}))  # type: ignore[misc]
            pulumi.export(name, value)


@dataclass(frozen=True)
class Phase:
    """What was seen of one operation."""

    steps: Steps
    calls: Sequence[Call]
    things: frozenset[tuple[str, str]]
    seen: dict[str, Any]
    warnings: Sequence[str]

    def names(self, method: str) -> list[str]:
        return [call.name for call in self.calls if call.method == method]


@dataclass
class Life:
    """A stack, and a way to note what each operation on it does."""

    cloud: Cloud
    workspace: Workspace

    def phase(self, operation: str, program: Bank) -> Phase:
        steps, warnings, before = Steps(), list[str](), len(self.cloud.calls)

        def listen(event: EngineEvent) -> None:
            steps(event)
            if event.diagnostic_event and event.diagnostic_event.severity in {"warning", "error"}:
                warnings.append(event.diagnostic_event.message)

        getattr(self.workspace.stack(program), operation)(on_event=listen)
        calls = self.cloud.calls[before:]
        return Phase(steps, calls, frozenset(self.cloud.things), program.seen, warnings)


@pytest.fixture(scope="module")
def life(make_workspace: MakeWorkspace) -> dict[str, Phase]:
    cloud = Cloud()
    life = Life(cloud, make_workspace(cloud))
    changed = Bank(replicas=2, owner="cards")
    moved = replace(changed, cidr="10.1.0.0/16", hash_key="id", seen={})
    phases = {
        "previewed": life.phase("preview", Bank()),
        "created": life.phase("up", Bank()),
        "again": life.phase("up", Bank()),
        "changed": life.phase("up", changed),
        "move previewed": life.phase("preview", replace(moved, seen={})),
        "moved": life.phase("up", moved),
    }
    del cloud.things["aws:dynamodb/table:Table", "dev-transfers"]
    phases["refreshed"] = life.phase("refresh", moved)
    phases["destroyed"] = life.phase("destroy", moved)
    return phases


def out_of_order(names: list[str]) -> list[tuple[str, str]]:
    """Those that do not come after what they stand on."""
    pairs = [(above, below) for above, below in STANDS_ON if {above, below} <= set(names)]
    assert pairs
    return [(above, below) for above, below in pairs if names.index(above) < names.index(below)]


def test_a_preview_creates_nothing(life: dict[str, Phase]) -> None:
    assert life["previewed"].steps.ops == {"create": ALL}
    assert life["previewed"].things == frozenset()
    assert all(call.preview for call in life["previewed"].calls if call.method == "Create")


def test_a_preview_knows_only_what_can_be_known(life: dict[str, Phase]) -> None:
    """The role's name is made up before the role is, as the real provider does."""
    assert life["previewed"].seen.keys() == {"cidr", "pin", "role_name"}


def test_everything_is_created_after_what_it_stands_on(life: dict[str, Phase]) -> None:
    created = life["created"].names("Create")
    assert life["created"].steps.ops == {"create": ALL}
    assert sorted(created) == sorted(ALL - NOT_CREATED)
    assert out_of_order(created) == []


def test_computed_values_reach_the_program(life: dict[str, Phase]) -> None:
    seen = life["created"].seen
    assert seen["vpc_id"].startswith("vpc-")
    assert seen["cluster_vpc"] == seen["vpc_id"]
    assert seen["table_arn"] == "arn:aws:dynamodb:sa-east-1:123456789012:table/dev-transfers"
    assert seen["cluster_arn"].startswith("arn:aws:eks:sa-east-1:123456789012:cluster/cluster-eksCluster-")
    assert seen["cluster_group"].startswith("sg-")
    assert seen["role_name"] == life["previewed"].seen["role_name"]


def test_computed_values_reach_the_resources_that_use_them(life: dict[str, Phase]) -> None:
    seen = life["created"].seen
    inputs = {call.name: call.inputs for call in life["created"].calls if call.method == "Create"}
    assert inputs["subnet"]["vpcId"] == seen["vpc_id"]
    assert inputs["gateway-tables"]["role"] == seen["role_name"]
    assert json.loads(inputs["gateway-tables"]["policy"]) == {"Resource": seen["table_arn"]}


def test_the_kubernetes_provider_gets_the_components_kubeconfig(life: dict[str, Phase]) -> None:
    configured = [call.inputs for call in life["created"].calls if call.method == "Configure"]
    kubeconfigs = {inputs["kubeconfig"] for inputs in configured if "kubeconfig" in inputs}
    assert kubeconfigs == {life["created"].seen["kubeconfig"]}
    assert "get-token" in kubeconfigs.pop()


def test_a_second_update_finds_every_resource_the_same(life: dict[str, Phase]) -> None:
    assert life["again"].steps.ops == {"same": ALL}
    assert life["again"].things == life["created"].things
    assert life["again"].seen == life["created"].seen


def test_a_change_touches_only_what_it_should(life: dict[str, Phase]) -> None:
    changed = life["changed"]
    assert changed.steps.ops == {"update": {"gateway", "transfers"}, "same": ALL - {"gateway", "transfers"}}
    assert changed.steps.named("update")["gateway"].changed == ("spec.replicas",)
    assert changed.steps.named("update")["transfers"].changed == ('tags["gobanking:owner"]',)
    assert sorted(changed.names("Update")) == ["gateway", "transfers"]
    assert changed.names("Create") == changed.names("Delete") == []
    assert changed.things == life["again"].things


def test_a_preview_of_a_replacement_does_not_know_what_will_replace_it(life: dict[str, Phase]) -> None:
    previewed = life["move previewed"]
    assert previewed.things == life["changed"].things
    assert "vpc_id" not in previewed.seen
    assert previewed.seen["cidr"] == "10.1.0.0/16"


def test_what_cannot_be_changed_in_place_is_replaced_with_what_stands_on_it(life: dict[str, Phase]) -> None:
    moved = life["moved"]
    assert {"vpc", "subnet", "pods", "transfers"} <= moved.steps.ops["replace"]
    assert moved.seen["vpc_id"] != life["changed"].seen["vpc_id"]
    assert len(moved.things) == len(life["changed"].things)
    assert out_of_order(moved.names("Delete")[::-1]) == []


def test_an_object_goes_before_its_replacement_only_if_the_program_chose_its_name(
    life: dict[str, Phase],
) -> None:
    calls = [(call.method, call.name) for call in life["moved"].calls if call.method in {"Create", "Delete"}]
    assert calls.index(("Delete", "transfers")) < calls.index(("Create", "transfers"))
    assert calls.index(("Create", "vpc")) < calls.index(("Delete", "vpc"))


def test_a_refresh_sees_what_vanished(life: dict[str, Phase]) -> None:
    assert "transfers" in life["refreshed"].names("Read")
    assert "transfers" not in life["destroyed"].names("Delete")


def test_destroying_goes_in_reverse_and_leaves_nothing(life: dict[str, Phase]) -> None:
    deleted = life["destroyed"].names("Delete")
    assert sorted(deleted) == sorted(ALL - NOT_CREATED - {"transfers"})
    assert out_of_order(deleted[::-1]) == []
    assert life["destroyed"].things == frozenset()


def test_the_engine_warns_of_nothing(life: dict[str, Phase]) -> None:
    assert [warning for phase in life.values() for warning in phase.warnings] == []


def test_equal_programs_on_fresh_clouds_get_equal_values(
    life: dict[str, Phase], workspace: Workspace
) -> None:
    bank = Bank()
    stack = workspace.stack(bank)
    assert stack.up().outputs["pin"].secret
    assert bank.seen == life["created"].seen
    state = workspace.folder.joinpath("state").rglob("*.json")
    assert not [path for path in state if "0-0-0-7" in path.read_text()]


def test_a_known_data_source_answers(workspace: Workspace) -> None:
    def program() -> None:
        pulumi.export("zones", aws.get_availability_zones_output(state="available").names)

    outputs = workspace.stack(program).up().outputs
    assert outputs["zones"].value == ["sa-east-1a", "sa-east-1b", "sa-east-1c"]


def test_a_component_uses_what_it_is_given(cloud: Cloud, workspace: Workspace) -> None:
    """Its role, its AWS provider, and subnets that are one output: in a preview all of it is unknown."""
    accounts: list[str] = []

    def program() -> None:
        account = aws.Provider("account", region="sa-east-1")
        inside = pulumi.ResourceOptions(provider=account)
        role = aws.iam.Role("eks", assume_role_policy="{}", opts=inside)
        subnet = aws.ec2.Subnet("subnet", vpc_id="vpc-1", opts=inside)
        admins = eks.AccessEntryArgs(principal_arn=role.arn)
        cluster = eks.Cluster(
            "cluster",
            name="dev",
            service_role=role,
            private_subnet_ids=subnet.id.apply(lambda known: [known]),
            access_entries={"admins": admins},
            authentication_mode=eks.AuthenticationMode.API,
            opts=pulumi.ResourceOptions(providers=[account]),
        )
        pulumi.export("role", role.arn)
        cluster.eks_cluster.role_arn.apply(accounts.append)

    stack = workspace.stack(program)
    stack.preview()
    assert accounts == []
    arn = stack.up().outputs["role"].value
    assert accounts == [arn]
    inputs = {call.name: call.inputs for call in cloud.calls if call.method == "Create" and not call.preview}
    assert inputs.keys() == {"eks", "subnet", "cluster-eksCluster", "cluster-admins"}
    assert inputs["cluster-admins"] == {"clusterName": "dev", "principalArn": arn}
    assert inputs["cluster-eksCluster"]["vpcConfig"]["subnetIds"][0].startswith("subnet-")
    state: Any = stack.export_stack().deployment
    used = {each["provider"].split("::")[3] for each in state["resources"] if each.get("provider")}
    assert used == {"account"}


def image() -> None:
    pulumi.export("image", aws.ec2.get_ami_output(most_recent=True).id)


def mistyped() -> None:
    pulumi.CustomResource("aws:ec2/vcp:Vcp", "vpc")


def other_component() -> None:
    pulumi.ComponentResource("eks:index:Nothing", "nothing", {}, None, remote=True)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        pytest.param(image, "'aws:ec2/getAmi:getAmi' is not an emulated data source", id="a data source"),
        pytest.param(mistyped, "aws has no resource type 'aws:ec2/vcp:Vcp'", id="a type that AWS has not"),
        pytest.param(other_component, "'eks:index:Nothing' is not an emulated component", id="a component"),
    ],
)
def test_what_is_not_emulated_is_refused_by_its_name(
    workspace: Workspace, program: Callable[[], None], message: str
) -> None:
    with pytest.raises(automation.CommandError, match=message):
        workspace.stack(program).preview()


def test_two_objects_cannot_have_one_name(workspace: Workspace) -> None:
    def twins() -> None:
        for name in ("one", "two"):
            aws.iam.Role(name, name="gateway", assume_role_policy="{}")

    with pytest.raises(automation.CommandError, match="'gateway' already exists"):
        workspace.stack(twins).up()
