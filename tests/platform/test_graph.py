"""The graph of a program is what the engine would be told, and nothing of one run is left for the next."""

import contextvars
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as kubernetes
import pytest
from pulumi import Alias, ComponentResource, Output, ResourceOptions
from pulumi.runtime._callbacks import _CallbackServicer

from environments.graph import answers as cloud
from environments.graph.evaluation import UNKNOWN, Graph, Secret, evaluate

THING = "test:index:Thing"
BOX = "gobanking:platform:Box"
STACK_URN = "urn:pulumi:dev::gobanking::pulumi:pulumi:Stack::gobanking-dev"


class Thing(pulumi.CustomResource):
    """A resource with any inputs; `arn` comes from the cloud."""

    arn: Output[str]

    def __init__(self, name: str, opts: ResourceOptions | None = None, **inputs: Any) -> None:
        super().__init__(THING, name, {"arn": None, **inputs}, opts)


class Box(ComponentResource):
    """A component with two things, the second of which needs the first."""

    def __init__(self, name: str, opts: ResourceOptions | None = None) -> None:
        super().__init__(BOX, name, {}, opts)
        self.first = Thing(f"{name}-first", ResourceOptions(parent=self))
        self.second = Thing(f"{name}-second", ResourceOptions(parent=self), of=self.first.arn)
        self.register_outputs({"arn": self.first.arn})


def both(program: Callable[[], Any]) -> list[Graph]:
    return [evaluate(program, preview=preview) for preview in (False, True)]


def test_nodes_have_the_urns_that_the_engine_gives() -> None:
    graph = evaluate(lambda: Box("inner", ResourceOptions(parent=Box("outer"))))
    head = "urn:pulumi:dev::gobanking::"
    assert graph.fingerprint() == (
        f"{head}{BOX}${BOX}${THING}::inner-first",
        f"{head}{BOX}${BOX}${THING}::inner-second",
        f"{head}{BOX}${BOX}::inner",
        f"{head}{BOX}${THING}::outer-first",
        f"{head}{BOX}${THING}::outer-second",
        f"{head}{BOX}::outer",
        STACK_URN,
    )


def test_inputs_are_plain_values_under_wire_names() -> None:
    def program() -> None:
        aws.ec2.Subnet("a", vpc_id=Thing("vpc").id, cidr_block="10.0.0.0/24", tags={"a": "b"})
        Thing("plain", count=3, ratio=0.5, ready=True, items=["x", {"y": 1}], dropped=None)

    graph = evaluate(program)
    subnet = graph.one("aws:ec2/subnet:Subnet", "a")
    assert subnet.inputs == {"vpcId": "vpc-id", "cidrBlock": "10.0.0.0/24", "tags": {"a": "b"}}
    plain = graph.one(THING, "plain").inputs
    assert plain == {"count": 3, "ratio": 0.5, "ready": True, "items": ["x", {"y": 1}]}
    assert isinstance(plain["count"], int)


def test_two_resources_with_one_urn_are_an_error() -> None:
    def program() -> None:
        Thing("same")
        Thing("same")

    for preview in (False, True):
        with pytest.raises(ValueError, match=r"duplicate resource URN .*test:index:Thing::same"):
            evaluate(program, preview=preview)


def test_one_name_under_two_parents_is_no_duplicate() -> None:
    def program() -> None:
        for parent in ("a", "b"):
            Thing(parent, ResourceOptions(parent=ComponentResource(f"gobanking:platform:{parent}", parent)))
        Thing("a")

    assert len(evaluate(program).of_type(THING)) == 3


def test_a_malformed_type_token_is_an_error() -> None:
    with pytest.raises(ValueError, match="gobanking:Network is not a type token"):
        evaluate(lambda: ComponentResource("gobanking:Network", "network"))


def _raising(_: object) -> None:
    raise ArithmeticError("said in an apply")


def test_an_exception_in_an_apply_comes_out() -> None:
    with pytest.raises(ArithmeticError, match="said in an apply"):
        evaluate(lambda: Thing("a").arn.apply(_raising))


def test_an_exception_in_the_program_comes_out_and_the_next_run_is_clean() -> None:
    def failing() -> None:
        Thing("a").arn.apply(lambda arn: Thing(f"late-{arn}"))
        raise ArithmeticError("said by the program")

    for _ in range(5):
        with pytest.raises(ArithmeticError, match="said by the program"):
            evaluate(failing)
    assert [node.name for node in evaluate(lambda: Thing("b")).of_type(THING)] == ["b"]


def test_text_made_of_an_output_is_an_error() -> None:
    with pytest.raises(Exception, match="__str__ on an Output"):
        evaluate(lambda: Thing("b", of=f"{Thing('a').arn}"))
    assert "PULUMI_ERROR_OUTPUT_STRING" not in os.environ


def test_a_preview_gives_unknowns_and_runs_no_apply_on_them() -> None:
    seen: list[str] = []

    def see(arn: str) -> str:
        seen.append(arn)
        return arn

    def program() -> None:
        thing = Thing("a", given="text")
        pulumi.export("given", Output.from_input("text"))
        pulumi.export("arn", thing.arn.apply(see))
        Thing("b", of={"list": [thing.id]})

    graph = evaluate(program, preview=True)
    assert seen == []
    assert graph.outputs == {"given": "text", "arn": UNKNOWN}
    assert graph.one(THING, "b").inputs == {"of": {"list": [UNKNOWN]}}

    graph = evaluate(program)
    assert seen == ["arn:aws:index:sa-east-1:111122223333:thing/a-0a1b2c3"]
    assert graph.outputs == {"given": "text", "arn": seen[0]}
    assert graph.one(THING, "b").inputs == {"of": {"list": ["a-id"]}}


def test_secrets_are_unwrapped_and_marked_by_their_paths() -> None:
    def program() -> None:
        secret = Output.secret("s3cret")
        Thing(
            "a", data={"password": secret, "user": "me", "odd.key/x": [secret]}, whole=Output.secret({"k": 1})
        )
        pulumi.export("secret", secret)
        pulumi.export("open", "text")

    for graph in both(program):
        node = graph.one(THING)
        assert node.inputs["data"] == {"password": "s3cret", "user": "me", "odd.key/x": ["s3cret"]}
        assert node.secrets == {"data.password", 'data["odd.key/x"][0]', "whole"}
        assert graph.outputs == {"secret": "s3cret", "open": "text"}
        assert graph.secret_outputs == {"secret"}
        assert "s3cret" not in graph.snapshot()


def test_what_is_made_of_a_secret_is_secret() -> None:
    def program() -> None:
        key = pulumi.Config().require_secret("key")
        thing = Thing("a", ResourceOptions(additional_secret_outputs=["arn"]), key=key)
        Thing("b", text=Output.concat("key=", key), arn_of_a=thing.arn)

    graph = evaluate(program, config={"key": "k1", "other:x": {"a": 1}}, secrets=["key"])
    node = graph.one(THING, "b")
    assert node.inputs["text"] == "key=k1"
    assert node.secrets == {"text", "arn_of_a"}


def test_config_is_read_as_pulumi_reads_it() -> None:
    def program() -> None:
        config = pulumi.Config()
        pulumi.export("zones", config.require_object("zones"))
        pulumi.export("region", pulumi.Config("aws").require("region"))
        pulumi.export("size", config.require_int("size"))
        pulumi.export("stack", f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}")

    config = {"zones": ["a", "b"], "aws:region": "sa-east-1", "size": 3}
    graph = evaluate(program, config=config, project="bank", stack="prod")
    assert graph.outputs == {
        "zones": ["a", "b"],
        "region": "sa-east-1",
        "size": 3,
        "stack": "organization/bank/prod",
    }


def test_config_of_one_run_is_not_seen_by_the_next() -> None:
    evaluate(lambda: None, config={"domain": "bank.example"}, secrets=["domain"])
    with pytest.raises(pulumi.ConfigMissingError, match="domain"):
        evaluate(lambda: pulumi.Config().require("domain"))


def test_dependencies_are_followed_through_inputs_options_parents_and_providers() -> None:
    def program() -> None:
        cluster = Thing("cluster")
        provider = kubernetes.Provider("k8s", kubeconfig=cluster.arn)
        namespace = kubernetes.core.v1.Namespace("space", opts=ResourceOptions(provider=provider))
        box = Box("box", ResourceOptions(depends_on=[namespace]))
        Thing("after", ResourceOptions(depends_on=[box]))
        Thing("alone")

    for graph in both(program):
        cluster = graph.one(THING, "cluster")
        first, second = graph.one(THING, "box-first"), graph.one(THING, "box-second")
        after, alone = graph.one(THING, "after"), graph.one(THING, "alone")
        assert graph.depends(second, first)
        assert not graph.depends(first, second)
        assert graph.depends(graph.one("kubernetes:core/v1:Namespace"), cluster)
        assert graph.depends(first, cluster), "by its parent's depends_on"
        assert graph.depends(after, second.urn), "depends_on a component is on all that it holds"
        assert not graph.depends(alone, cluster)
        assert graph.needs(alone) == {STACK_URN}
        assert second.property_dependencies == {"of": frozenset({first.urn})}


def test_queries_walk_the_tree() -> None:
    def program() -> None:
        outer = Box("outer")
        Box("inner", ResourceOptions(parent=outer))
        Thing("loose")
        Thing("under-loose", ResourceOptions(parent=Thing("loose-parent")))
        aws.Provider("aws", region="sa-east-1")

    graph = evaluate(program)
    outer = graph.one(BOX, "outer")
    assert [node.name for node in graph.children(outer)] == ["inner", "outer-first", "outer-second"]
    names = {"inner", "outer-first", "outer-second", "inner-first", "inner-second"}
    assert {node.name for node in graph.descendants(outer.urn)} == names
    inner_first = graph.one(THING, "inner-first")
    assert [node.name for node in graph.ancestors(inner_first)] == ["inner", "outer", "gobanking-dev"]
    assert {node.name for node in graph.outside_components()} == {"loose", "loose-parent", "under-loose"}


def test_asking_for_one_of_none_or_of_many_says_what_there_is() -> None:
    graph = evaluate(lambda: Box("box"))
    with pytest.raises(
        LookupError, match=r"2 resources are test:index:Thing .*\['box-first', 'box-second'\]"
    ):
        graph.one(THING)
    with pytest.raises(LookupError, match=r"0 resources are a:b:C .*'gobanking:platform:Box'"):
        graph.one("a:b:C")


def test_children_get_the_provider_of_their_component() -> None:
    def program() -> None:
        provider = aws.Provider("ours", region="sa-east-1")
        box = ComponentResource(BOX, "box", {}, ResourceOptions(providers=[provider]))
        inner = ComponentResource(BOX, "inner", {}, ResourceOptions(parent=box))
        aws.ec2.Vpc("in", cidr_block="10.0.0.0/16", opts=ResourceOptions(parent=inner))
        aws.ec2.Vpc("out", cidr_block="10.0.0.0/16")
        Thing("other-package", ResourceOptions(parent=box))

    for graph in both(program):
        provider = graph.one("pulumi:providers:aws", "ours")
        assert graph.one(BOX, "box").providers == {"aws": provider.urn}
        assert graph.one("aws:ec2/vpc:Vpc", "in").provider == provider.urn
        assert graph.one("aws:ec2/vpc:Vpc", "out").provider is None
        assert graph.one(THING).provider is None


def test_options_are_seen_and_inherited_as_the_engine_does() -> None:
    def program() -> None:
        space = Thing("space")
        opts = ResourceOptions(protect=True, retain_on_delete=True, deleted_with=space)
        box = Box("box", opts)
        Thing(
            "open", ResourceOptions(parent=box, protect=False, retain_on_delete=False, ignore_changes=["x"])
        )
        Thing("plain")

    graph = evaluate(program)
    inside, opened, plain = (graph.one(THING, name) for name in ("box-first", "open", "plain"))
    assert (inside.protect, inside.retain_on_delete) == (True, True)
    assert inside.deleted_with == opened.deleted_with == graph.one(THING, "space").urn
    assert (opened.protect, opened.retain_on_delete, opened.ignore_changes) == (False, False, ("x",))
    assert (plain.protect, plain.retain_on_delete, plain.deleted_with) == (False, False, None)
    assert (plain.custom, plain.component, graph.one(BOX).component) == (True, False, True)


@pytest.mark.parametrize(
    ("alias", "former"),
    [
        (Alias(name="old"), f"{BOX}$test:index:Thing::old"),
        (Alias(type_="test:index:Old"), f"{BOX}$test:index:Old::new-thing"),
        (Alias(parent=pulumi.ROOT_STACK_RESOURCE), "test:index:Thing::new-thing"),
        (Alias(name="old", parent=pulumi.ROOT_STACK_RESOURCE), "test:index:Thing::old"),
    ],
    ids=["name", "type", "parent", "name and parent"],
)
def test_an_alias_is_the_urn_that_it_was(alias: Alias, former: str) -> None:
    def program() -> None:
        box = ComponentResource(BOX, "new", {})
        Thing("new-thing", ResourceOptions(parent=box, aliases=[alias]))

    assert evaluate(program).one(THING).aliases == {f"urn:pulumi:dev::gobanking::{former}"}


def test_children_have_the_aliases_that_their_component_had() -> None:
    def program() -> None:
        Box("new", ResourceOptions(aliases=[Alias(name="old"), Alias(type_="gobanking:platform:Crate")]))

    graph = evaluate(program)
    assert graph.one(THING, "new-first").aliases == {
        f"urn:pulumi:dev::gobanking::{BOX}${THING}::old-first",
        f"urn:pulumi:dev::gobanking::gobanking:platform:Crate${THING}::new-first",
    }


def test_a_stack_reference_reads_the_outputs_of_the_other_stack() -> None:
    def program() -> None:
        base = pulumi.StackReference("base", "organization/gobanking/dev")
        vpc = base.require_output("network").apply(lambda network: network["vpc"])
        Thing("a", vpc=vpc, token=base.require_output("token"), absent=base.get_output("absent"))

    outputs = {"network": {"vpc": "vpc-1", "zones": 3}, "token": Secret("t0ken")}
    for preview in (False, True):
        graph = evaluate(program, preview=preview, stack_outputs={"organization/gobanking/dev": outputs})
        node = graph.one(THING)
        assert node.inputs == {"vpc": "vpc-1", "token": "t0ken"}
        assert node.secrets == {"token"}
        assert [read.inputs["name"] for read in graph.reads] == ["organization/gobanking/dev"]
        assert graph.depends(node, graph.reads[0])


def test_a_stack_or_an_output_that_is_not_there_is_an_error() -> None:
    def program() -> None:
        pulumi.StackReference("organization/gobanking/dev").require_output("vpc")

    with pytest.raises(LookupError, match="no outputs are known for the stack organization/gobanking/dev"):
        evaluate(program)
    with pytest.raises(KeyError, match="vpc"):
        evaluate(program, stack_outputs={"organization/gobanking/dev": {}})


def test_data_sources_are_recorded_and_an_unknown_one_is_an_error_that_names_it() -> None:
    def known() -> None:
        pulumi.export("account", aws.get_caller_identity().account_id)
        pulumi.export("region", aws.get_region_output(region="us-east-1").region)

    for graph in both(known):
        assert graph.outputs == {"account": cloud.ACCOUNT, "region": "us-east-1"}
        assert [(invoke.token.rpartition(":")[2], invoke.args) for invoke in graph.invokes] == [
            ("getCallerIdentity", {}),
            ("getRegion", {"region": "us-east-1"}),
        ]
    with pytest.raises(LookupError, match="no answer is known for the data source aws:ec2/getAmi:getAmi"):
        evaluate(lambda: aws.ec2.get_ami_output(most_recent=True))
    ami = {"aws:ec2/getAmi:getAmi": lambda args: {"id": f"ami-{args['mostRecent']}"}}
    graph = evaluate(lambda: pulumi.export("ami", aws.ec2.get_ami_output(most_recent=True).id), data=ami)
    assert graph.outputs == {"ami": "ami-True"}


def test_a_resource_that_is_read_is_marked_so() -> None:
    def program() -> None:
        vpc = aws.ec2.Vpc.get("shared", "vpc-0123")
        aws.ec2.Subnet("a", vpc_id=vpc.id, cidr_block="10.0.0.0/24")

    graph = evaluate(program)
    assert [read.name for read in graph.reads] == ["shared"]
    assert graph.one("aws:ec2/subnet:Subnet").inputs["vpcId"] == "vpc-0123"


def _tagging(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    if args.type_ != THING:
        return None
    return pulumi.ResourceTransformResult(props={**args.props, "tag": "stack"}, opts=args.opts)


def _protecting(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult:
    options = ResourceOptions.merge(args.opts, ResourceOptions(protect=True))
    return pulumi.ResourceTransformResult(props={**args.props, "tag": "mine", "seen": "yes"}, opts=options)


def test_transforms_of_resource_parent_and_stack_are_run_in_that_order() -> None:
    def program() -> None:
        pulumi.runtime.register_resource_transform(_tagging)
        box = ComponentResource(BOX, "box", {}, ResourceOptions(transforms=[_protecting]))
        Thing("in", ResourceOptions(parent=box), key=Output.secret("k"))
        Thing("out")

    for graph in both(program):
        inside, outside = graph.one(THING, "in"), graph.one(THING, "out")
        assert inside.inputs == {"tag": "stack", "seen": "yes", "key": "k"}
        assert inside.secrets == {"key"}
        assert (inside.protect, outside.protect) == (True, False)
        assert outside.inputs == {"tag": "stack"}


def test_a_transform_that_raises_fails_the_run() -> None:
    def program() -> None:
        Thing("a", ResourceOptions(transforms=[_raising]))

    with pytest.raises(RuntimeError, match="said in an apply"):
        evaluate(program)


def test_legacy_transformations_run_too() -> None:
    def legacy(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
        return pulumi.ResourceTransformationResult({**args.props, "tag": "legacy"}, args.opts)

    def program() -> None:
        pulumi.runtime.register_stack_transformation(legacy)
        Thing("a")

    assert evaluate(program).one(THING).inputs == {"tag": "legacy"}


def cluster_program() -> None:
    role = aws.iam.Role("nodes", assume_role_policy="{}")
    cluster = eks.Cluster(
        "bank",
        vpc_id="vpc-1",
        private_subnet_ids=["subnet-1", "subnet-2"],
        skip_default_node_group=True,
        service_role=role,
        authentication_mode=eks.AuthenticationMode.API,
    )
    nodes = aws.eks.NodeGroup(
        "nodes",
        cluster_name=cluster.eks_cluster.name,
        node_role_arn=role.arn,
        subnet_ids=cluster.core.subnet_ids,
        scaling_config={"min_size": 1, "max_size": 2, "desired_size": 1},
    )
    provider = kubernetes.Provider("k8s", kubeconfig=cluster.kubeconfig_json)
    kubernetes.core.v1.Namespace("space", opts=ResourceOptions(provider=provider, depends_on=[nodes]))
    eks.ManagedNodeGroup("managed", cluster=cluster, node_role=role)
    Thing("after", ResourceOptions(depends_on=cluster.eks_cluster.apply(lambda inner: [inner])))
    pulumi.export("ca", cluster.eks_cluster.certificate_authority.data)
    pulumi.export("core", cluster.core.cluster.name)
    pulumi.export("group", cluster.cluster_security_group_id)


def test_a_remote_component_hands_out_what_only_its_provider_made() -> None:
    graph = evaluate(cluster_program)
    cluster = graph.one("eks:index:Cluster")
    assert (cluster.remote, cluster.custom, cluster.component) == (True, False, True)
    assert cluster.inputs["serviceRole"] == "nodes-0a1b2c3", "a resource as an input is its id"
    group = graph.one("aws:eks/nodeGroup:NodeGroup")
    assert group.inputs["clusterName"] == "bank-0a1b2c3"
    assert group.inputs["subnetIds"] == ["subnet-1", "subnet-2"]
    assert graph.outputs["ca"] == "Y2VydGlmaWNhdGU="
    assert graph.outputs["core"] == "bank-0a1b2c3"
    assert graph.outputs["group"].startswith("sg-")
    assert graph.depends(group, cluster)
    assert graph.depends(graph.one("kubernetes:core/v1:Namespace"), cluster)
    assert graph.one("eks:index:ManagedNodeGroup").inputs["cluster"] == cluster.urn
    inside = graph.one(THING).dependencies - set(graph.nodes)
    assert {urn.rpartition("$")[2] for urn in inside} == {"aws:eks/cluster:Cluster::bank-eksCluster"}
    assert all(graph.depends(urn, cluster) for urn in inside)


def test_a_preview_knows_nothing_of_a_remote_component() -> None:
    graph = evaluate(cluster_program, preview=True)
    assert graph.outputs == {"ca": UNKNOWN, "core": UNKNOWN, "group": UNKNOWN}
    assert graph.one("aws:eks/nodeGroup:NodeGroup").inputs["clusterName"] is UNKNOWN
    assert graph.depends(graph.one("aws:eks/nodeGroup:NodeGroup"), graph.one("eks:index:Cluster"))


def test_fifty_runs_in_one_process_are_one_and_the_same() -> None:
    def program() -> None:
        cluster_program()
        Box("box", ResourceOptions(transforms=[_protecting]))

    first = {preview: evaluate(program, config={"key": "k"}, preview=preview) for preview in (False, True)}
    for _ in range(25):
        for preview, graph in first.items():
            again = evaluate(program, config={"key": "k"}, preview=preview)
            assert again.snapshot() == graph.snapshot()
            assert again.fingerprint() == graph.fingerprint()
    assert _CallbackServicer._servicers == [], "a run left its callback server"
    assert pulumi.runtime.get_root_resource() is None, "a run left its stack"
    assert pulumi.runtime.get_config("gobanking:key") is None


def test_a_stack_that_something_else_left_is_nobodys_parent() -> None:
    left: Any = object()
    context = contextvars.copy_context()
    context.run(pulumi.runtime.settings.set_root_resource, left)
    graph = context.run(evaluate, lambda: Thing("a"))
    assert graph.one(THING).parent == STACK_URN


def test_a_component_that_registers_no_outputs_is_told_from_one_that_does() -> None:
    def program() -> None:
        Box("done")
        ComponentResource("gobanking:platform:Half", "half")

    graph = evaluate(program)
    outputs = graph.one(BOX).outputs
    assert outputs is not None
    assert set(outputs) == {"arn"}
    assert graph.one("gobanking:platform:Half").outputs is None


def test_a_node_knows_the_line_that_made_it() -> None:
    graph = evaluate(lambda: aws.Provider("aws", region="sa-east-1"))
    path, _, line = graph.one("pulumi:providers:aws").source.partition(":")
    assert path == "tests/platform/test_graph.py"
    assert "aws.Provider" in Path(__file__).read_text().splitlines()[int(line) - 1]


def test_warnings_of_the_program_are_kept() -> None:
    def program() -> None:
        pulumi.log.warn("mind this")
        pulumi.log.info("not this")

    assert evaluate(program).messages == ("mind this",)


def test_an_async_program_is_awaited() -> None:
    async def program() -> None:
        Thing("late")

    assert evaluate(program).one(THING).name == "late"


MAIN = """
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from parts import Part

import catalog_of_graph_test

Part(catalog_of_graph_test.NAME)
"""
PARTS = """
import os

import pulumi

RUNS = []


class Part(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("gobanking:platform:Part", name)
        RUNS.append(name)
        self.register_outputs({"runs": len(RUNS), "cwd": os.getcwd()})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A program with a module beside it, and one in the project's root."""
    program = tmp_path / "platform"
    program.mkdir()
    (program / "__main__.py").write_text(MAIN)
    (program / "parts.py").write_text(PARTS)
    (tmp_path / "catalog_of_graph_test.py").write_text('NAME = "from-the-root"\n')
    return program


def test_a_folder_is_run_as_the_language_host_runs_it(folder: Path) -> None:
    before = (Path.cwd(), list(sys.path))
    for _ in range(3):
        part = evaluate(folder).one("gobanking:platform:Part")
        assert part.name == "from-the-root"
        assert part.outputs == {"runs": 1, "cwd": str(folder)}, "a module kept its state"
    assert (Path.cwd(), list(sys.path)) == before
    assert "parts" not in sys.modules


def test_a_folder_that_does_not_append_the_root_fails_as_it_would(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = folder / "__main__.py"
    main.write_text(main.read_text().replace("sys.path.append", "str"))
    sys.modules.pop("catalog_of_graph_test", None)
    monkeypatch.syspath_prepend(folder.parent)
    with pytest.raises(ModuleNotFoundError, match="catalog_of_graph_test"):
        evaluate(folder)


def test_the_snapshot_says_what_matters(snapshot: Callable[[str, str], None]) -> None:
    def program() -> None:
        box = Box("box", ResourceOptions(protect=True, aliases=[Alias(name="crate")]))
        Thing("key", ResourceOptions(ignore_changes=["tags"]), key=Output.secret("s3cret"))
        pulumi.export("arn", box.first.arn)
        pulumi.export("key", Output.secret("s3cret"))

    snapshot("harness", evaluate(program).snapshot())
    snapshot("harness-preview", evaluate(program, preview=True).snapshot())
