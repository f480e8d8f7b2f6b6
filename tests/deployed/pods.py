"""What the resource graph says of each pod: what a kubelet, a Service and Pod Identity would make of it.

Only the graph is read here, never the catalog: whatever a manifest leaves out is missing here too.
"""

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from environments.aws.job import run_of
from environments.graph.answers import REGION
from environments.graph.evaluation import Graph, Node

Json = dict[str, Any]
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"
BINDING = "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding"
IMAGE = "docker-build:index:Image"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
LISTENER_RULE = "aws:lb/listenerRule:ListenerRule"
CLUSTER_DOMAIN = "svc.cluster.local"


@dataclass(frozen=True)
class Probe:
    """An HTTP probe: what is asked of which port, and how often until it counts."""

    path: str
    port: int
    patience_seconds: float


NO_PROBE = Probe("", 0, 0.0)
"""Of a Job: nobody asks it anything."""


@dataclass(frozen=True)
class Pod:
    """A pod of a Deployment or a Job with its one container, as its manifest says."""

    workload: str
    namespace: str
    labels: Mapping[str, str]
    service_account: str
    image: str
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    startup: Probe
    readiness: Probe
    user: int
    group: int
    read_only: bool
    privileged: bool
    scratch: Mapping[str, str]
    """Folders that may be written to, and how much fits."""


@dataclass(frozen=True)
class Role:
    """An IAM role as it will be, and how a pod proves that it may take it."""

    name: str
    arn: str
    trust: Json
    policies: Mapping[str, Json]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Target:
    """Where a connection arrives: which pod, at which port."""

    workload: str
    port: int


def pods(graph: Graph) -> dict[str, Pod]:
    """Every pod that the graph's Deployments make, one of each, by workload."""
    found = [pod_of(node.inputs) for node in graph.of_type(DEPLOYMENT)]
    return {pod.workload: pod for pod in found}


def pod_of(manifest: Mapping[str, Any]) -> Pod:
    """A Deployment's or a Job's pod. `LookupError` when its probe asks a port that no container has."""
    template = manifest["spec"]["template"]
    spec = template["spec"]
    (container,) = spec["containers"]
    security = container["securityContext"]
    volumes = {each["name"]: each["emptyDir"]["sizeLimit"] for each in spec["volumes"]}
    return Pod(
        workload=manifest["metadata"]["name"],
        namespace=manifest["metadata"]["namespace"],
        labels=template["metadata"]["labels"],
        service_account=spec["serviceAccountName"],
        image=container["image"],
        command=tuple(container.get("command", ())),
        arguments=tuple(container.get("args", ())),
        variables={each["name"]: each["value"] for each in container["env"]},
        startup=_probe(container, "startupProbe"),
        readiness=_probe(container, "readinessProbe"),
        user=spec["securityContext"]["runAsUser"],
        group=spec["securityContext"]["runAsGroup"],
        read_only=security["readOnlyRootFilesystem"],
        privileged=security["allowPrivilegeEscalation"] or security["capabilities"] != {"drop": ["ALL"]},
        scratch={each["mountPath"]: volumes[each["name"]] for each in container["volumeMounts"]},
    )


def _probe(container: Mapping[str, Any], kind: str) -> Probe:
    if "ports" not in container:
        return NO_PROBE
    probe = container[kind]
    asked = probe["httpGet"]["port"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    if asked not in ports:
        raise LookupError(f"{kind} of {container['name']} asks port '{asked}'; there are: {sorted(ports)}")
    patience = probe["failureThreshold"] * probe["periodSeconds"]
    return Probe(probe["httpGet"]["path"], ports[asked], patience)


def job(graph: Graph, *arguments: str) -> Pod:
    """The pod of an operators' command, as `gobank` asks for it by what the stack exports."""
    return pod_of(run_of(graph.outputs["operators_job"], "operators", arguments))


def build_arguments(graph: Graph, image: str) -> dict[str, str]:
    """What the image that a pod names is built with. Raises `LookupError` when nothing makes that image."""
    for node in graph.of_type(IMAGE):
        if (node.outputs or {})["ref"] == image:
            return dict(node.inputs["buildArgs"])
    raise LookupError(f"no image of the graph is {image}")


def role(graph: Graph, namespace: str, service_account: str) -> Role | None:
    """The role that Pod Identity gives to pods of a service account; `None` without an association."""
    mine = (namespace, service_account)
    for node in graph.of_type(ASSOCIATION):
        if (node.inputs["namespace"], node.inputs["serviceAccount"]) == mine:
            return _role(graph, node)
    return None


def _role(graph: Graph, association: Node) -> Role:
    arn = association.inputs["roleArn"]
    (node,) = [each for each in graph.of_type(ROLE) if (each.outputs or {})["arn"] == arn]
    name = (node.outputs or {})["name"]
    cluster = association.inputs["clusterName"]
    account = arn.split(":")[4]
    return Role(
        name=name,
        arn=arn,
        trust=json.loads(node.inputs["assumeRolePolicy"]),
        policies={
            each.name: json.loads(each.inputs["policy"])
            for each in graph.of_type(ROLE_POLICY)
            if each.inputs["role"] == name
        },
        # What EKS puts on a session (EKS user guide, "Grant Pods access based on tags").
        tags={
            "eks-cluster-arn": f"arn:aws:eks:{REGION}:{account}:cluster/{cluster}",
            "kubernetes-namespace": association.inputs["namespace"],
            "kubernetes-service-account": association.inputs["serviceAccount"],
        },
    )


def reached(graph: Graph, url: str) -> Target:
    """Where a URL inside the cluster leads: by a Service to the port of a pod. `LookupError`: nowhere."""
    at = urlsplit(url)
    name, namespace, domain = (at.hostname or "").split(".", 2)
    if domain != CLUSTER_DOMAIN or at.scheme != "http":
        raise LookupError(f"{url} is no address of a Service")
    return _behind(graph, namespace, name, at.port)


def entrance(graph: Graph) -> Target:
    """Where the load balancer sends customers: its rule, the target group, what is bound to that."""
    (rule,) = graph.of_type(LISTENER_RULE)
    (action,) = rule.inputs["actions"]
    bindings = [each.inputs for each in graph.of_type(BINDING)]
    (bound,) = [each for each in bindings if each["spec"]["targetGroupARN"] == action["targetGroupArn"]]
    service = bound["spec"]["serviceRef"]
    return _behind(graph, bound["metadata"]["namespace"], service["name"], service["port"])


def _behind(graph: Graph, namespace: str, name: str, port: int | None) -> Target:
    for service in (each.inputs for each in graph.of_type(SERVICE)):
        if (service["metadata"]["namespace"], service["metadata"]["name"]) != (namespace, name):
            continue
        targets = [each["targetPort"] for each in service["spec"]["ports"] if each["port"] == port]
        if not targets:
            raise LookupError(f"Service {name} has no port {port}")
        return Target(_selected(graph, namespace, service["spec"]["selector"]), targets[0])
    raise LookupError(f"there is no Service {name} in {namespace}")


def _selected(graph: Graph, namespace: str, selector: Mapping[str, str]) -> str:
    found = [
        pod.workload
        for pod in pods(graph).values()
        if pod.namespace == namespace and selector.items() <= pod.labels.items()
    ]
    if len(found) != 1:
        raise LookupError(f"{selector} selects {found or 'no pod'}")
    return found[0]


def changed(graph: Graph, type_: str, name: str, change: Callable[[Json], None]) -> Graph:
    """The same graph, but for what `change` does to the inputs of one resource."""
    node = graph.one(type_, name)
    inputs = copy.deepcopy(dict(node.inputs))
    change(inputs)
    return replace(graph, nodes={**graph.nodes, node.urn: replace(node, inputs=inputs)})


def actions(documents: Iterable[Json]) -> list[tuple[Json, str]]:
    """Every action of the documents' statements, with its statement."""
    return [
        (statement, action)
        for document in documents
        for statement in document["Statement"]
        for action in statement["Action"]
    ]
