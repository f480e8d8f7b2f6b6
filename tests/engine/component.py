"""What the EKS provider builds when the engine asks it for an `eks.Cluster`: a component with children.

The children are those that other resources see: the cluster's role unless one is given, the cluster, its
access entries, and the Kubernetes provider. The real one also makes add-ons and, by default, nodes.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2, resource_pb2, resource_pb2_grpc

from tests.engine.sdk import plugin_version
from tests.engine.wire import RESOURCE, SIGNATURE, UNKNOWN, Properties, plain, received, reference, sent

CLUSTER = "eks:index:Cluster"
ROLE = "aws:iam/role:Role"
TRUST = {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
TO_THE_CLUSTER = frozenset(
    {"deletionProtection", "enabledClusterLogTypes", "name", "tags", "upgradePolicy", "version"}
)
TO_ITS_NETWORK = frozenset({"endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs"})
NOT_MADE_HERE = (
    "autoModeNodeRoleName",
    "clusterIngressRuleId",
    "defaultNodeGroupAsgName",
    "fargateProfileId",
    "fargateProfileStatus",
    "oidcProviderArn",
    "oidcProviderUrl",
)


def construct(request: provider_pb2.ConstructRequest) -> provider_pb2.ConstructResponse:
    """Registers the component and its children with the engine that asks, and answers its outputs."""
    with grpc.insecure_channel(request.monitorEndpoint) as channel:
        build = _Build(request, resource_pb2_grpc.ResourceMonitorStub(channel))
        outputs = build.cluster()
        build.monitor.RegisterResourceOutputs(
            resource_pb2.RegisterResourceOutputsRequest(urn=build.urn, outputs=sent(outputs))
        )
    urns = provider_pb2.ConstructResponse.PropertyDependencies(urns=build.children)
    return provider_pb2.ConstructResponse(
        urn=build.urn, state=sent(outputs), stateDependencies=dict.fromkeys(outputs, urns)
    )


@dataclass
class _Child:
    urn: str
    id: str
    outputs: Properties

    @property
    def reference(self) -> Properties:
        return reference(self.urn, self.id)


@dataclass
class _Build:
    """One component, while its children are registered."""

    request: provider_pb2.ConstructRequest
    monitor: Any
    urn: str = ""
    children: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        asked = self.request
        self.inputs: Properties = plain(received(asked.inputs))
        needed = {urn for each in asked.inputDependencies.values() for urn in each.urns}
        self.dependencies = sorted({*asked.dependencies, *needed})
        component = resource_pb2.RegisterResourceRequest(
            **self._common(asked.type, asked.name, self.inputs), parent=asked.parent, custom=False
        )
        component.dependencies.extend(asked.dependencies)
        component.providers.update(asked.providers)
        component.aliases.extend(asked.aliases)
        component.ignoreChanges.extend(asked.ignoreChanges)
        component.deletedWith = asked.deletedWith
        for option in ("protect", "retainOnDelete"):
            if asked.HasField(option):
                setattr(component, option, getattr(asked, option))
        self.urn = self.monitor.RegisterResource(component).urn

    def cluster(self) -> Properties:
        """The component's outputs."""
        name, given = self.request.name, self.inputs
        role, role_arn = self._role()
        subnets = self._subnets()
        network = {"subnetIds": subnets, **{key: given[key] for key in given if key in TO_ITS_NETWORK}}
        inputs = {key: given[key] for key in given if key in TO_THE_CLUSTER}
        mode = given.get("authenticationMode", "CONFIG_MAP")
        inputs["accessConfig"] = {"authenticationMode": mode, "bootstrapClusterCreatorAdminPermissions": True}
        if key_arn := given.get("encryptionConfigKeyArn"):
            inputs["encryptionConfig"] = {"provider": {"keyArn": key_arn}, "resources": ["secrets"]}
        inputs |= {"roleArn": role_arn, "vpcConfig": network}
        eks = self._child("aws:eks/cluster:Cluster", f"{name}-eksCluster", inputs)
        self._access(eks)
        kubeconfig = _kubeconfig(eks.outputs)
        as_json = kubeconfig if kubeconfig == UNKNOWN else json.dumps(kubeconfig)
        kubernetes = self._child("pulumi:providers:kubernetes", f"{name}-provider", {"kubeconfig": as_json})
        made = eks.outputs["vpcConfig"]
        group = made["clusterSecurityGroupId"]  # without security groups of its own, it is the nodes' too
        core = {
            "cluster": eks.reference,
            "clusterIamRole": role,
            "endpoint": eks.outputs["endpoint"],
            "instanceRoles": [],
            "kubeconfig": kubeconfig,
            "nodeGroupOptions": {},
            "provider": kubernetes.reference,
            "subnetIds": subnets,
            "vpcId": given.get("vpcId", made["vpcId"]),
        }
        return {
            **dict.fromkeys(NOT_MADE_HERE, ""),
            "clusterSecurityGroupId": group,
            "core": core,
            "eksCluster": eks.reference,
            "instanceRoles": [],
            "kubeconfig": kubeconfig,
            "kubeconfigJson": as_json,
            "nodeSecurityGroupId": group,
            "oidcIssuer": _issuer(eks.outputs),
        }

    def _subnets(self) -> Any:
        """All of them, or unknown where one of the lists is."""
        keys = ("subnetIds", "privateSubnetIds", "publicSubnetIds")
        lists = [self.inputs[key] for key in keys if key in self.inputs]
        return UNKNOWN if UNKNOWN in lists else [subnet for each in lists for subnet in each]

    def _role(self) -> tuple[Properties, str]:
        given = self.inputs.get("serviceRole")
        if isinstance(given, dict) and given.get(SIGNATURE) == RESOURCE:
            ask = resource_pb2.ResourceInvokeRequest(
                tok="pulumi:pulumi:getResource", args=sent({"urn": given["urn"]}), acceptResources=True
            )
            found = plain(received(getattr(self.monitor.Invoke(ask), "return")))
            return given, found["state"].get("arn", UNKNOWN)
        trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
        role = self._child(ROLE, f"{self.request.name}-eksRole-role", {"assumeRolePolicy": trust})
        return role.reference, role.outputs["arn"]

    def _access(self, eks: _Child) -> None:
        cluster = {"clusterName": eks.outputs["name"]}
        for key, entry in self.inputs.get("accessEntries", {}).items():
            policies = entry.get("accessPolicies", {})
            inputs = {**cluster, **{each: entry[each] for each in entry if each != "accessPolicies"}}
            self._child("aws:eks/accessEntry:AccessEntry", f"{self.request.name}-{key}", inputs)
            for policy, association in policies.items():
                self._child(
                    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
                    f"{self.request.name}-{key}-{policy}",
                    {**cluster, "principalArn": entry["principalArn"], **association},
                )

    def _child(self, resource_type: str, name: str, inputs: Properties) -> _Child:
        is_provider = resource_type.startswith("pulumi:providers:")
        package = resource_type.rpartition(":")[2] if is_provider else resource_type.split(":", maxsplit=1)[0]
        answer = self.monitor.RegisterResource(
            resource_pb2.RegisterResourceRequest(
                **self._common(resource_type, name, inputs),
                parent=self.urn,
                custom=True,
                provider="" if is_provider else self.request.providers.get(package, ""),
                version=plugin_version(package),
                dependencies=[*self.dependencies, *self.children],
            )
        )
        self.children.append(answer.urn)
        return _Child(answer.urn, answer.id, plain(received(answer.object)))

    @staticmethod
    def _common(resource_type: str, name: str, inputs: Properties) -> dict[str, Any]:
        accepts = ("acceptSecrets", "acceptResources", "supportsPartialValues")
        return {"type": resource_type, "name": name, "object": sent(inputs), **dict.fromkeys(accepts, True)}


def _issuer(outputs: Properties) -> str:
    identities = outputs["identities"]
    if identities == UNKNOWN:
        return UNKNOWN
    return str(identities[0]["oidcs"][0]["issuer"]).removeprefix("https://")


def _kubeconfig(outputs: Properties) -> Any:
    """As the real one writes it: it holds no token, but the command that asks for one."""
    name, endpoint = outputs["name"], outputs["endpoint"]
    if UNKNOWN in {name, endpoint}:
        return UNKNOWN
    certificate = outputs["certificateAuthority"]["data"]
    ask = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "args": ["eks", "get-token", "--cluster-name", name],
        "command": "aws",
    }
    server = {"server": endpoint, "certificate-authority-data": certificate}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "aws",
        "clusters": [{"name": "kubernetes", "cluster": server}],
        "contexts": [{"name": "aws", "context": {"cluster": "kubernetes", "user": "aws"}}],
        "users": [{"name": "aws", "user": {"exec": ask}}],
    }
