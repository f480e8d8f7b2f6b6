"""The nodes: arm64, Amazon Linux 2023, in the private subnets."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

import trust
from network import Subnets
from settings import ClusterSettings
from versions import versions

DISK_GIB = 50
MAX_PODS = 110
"""EKS's limit for nodes of fewer than 30 vCPUs."""

NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")
"""Not AmazonEKS_CNI_Policy: only `aws-node` needs it, and has it by Pod Identity."""


@dataclass(frozen=True)
class NodesArgs:
    """`needs` must stand before a node starts: the CNI and its rights, and a way to the registries."""

    settings: ClusterSettings
    cluster_name: pulumi.Input[str]
    private: Subnets
    disk_key_arn: pulumi.Input[str]
    needs: Sequence[pulumi.Resource]


class Nodes(pulumi.ComponentResource):
    """One managed node group with a launch template and a role of its own.

    Two m7g.large cost about 120 USD a month in the cheapest regions. Pods get neither the nodes'
    credentials nor their user data: IMDSv2 only, one hop. How many nodes there are is the autoscaler's to
    say; the program sets only the bounds, and the number to begin with.
    """

    group: aws.eks.NodeGroup

    def __init__(self, name: str, args: NodesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Nodes", name, {}, opts)
        child = ResourceOptions(parent=self)
        role = aws.iam.Role(f"{name}-role", assume_role_policy=trust.by_service("ec2"), opts=child)
        rights = [
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy}", role=role.name, policy_arn=trust.managed(policy), opts=child
            )
            for policy in NODE_POLICIES
        ]
        template = self._template(f"{name}-template", args)
        settings = args.settings
        self.group = aws.eks.NodeGroup(
            f"{name}-group",
            cluster_name=args.cluster_name,
            node_role_arn=role.arn,
            subnet_ids=list(args.private.ids),  # left out, it would be all of the cluster's, public ones too
            version=settings.version,
            release_version=versions(settings.version).node_image,
            ami_type="AL2023_ARM_64_STANDARD",
            capacity_type="ON_DEMAND",
            instance_types=[settings.node_type],
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                min_size=settings.nodes, max_size=settings.max_nodes, desired_size=settings.nodes
            ),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            node_repair_config=aws.eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            opts=ResourceOptions(
                parent=self,
                depends_on=[*rights, *args.needs],
                ignore_changes=["scalingConfig.desiredSize"],
            ),
        )
        self.register_outputs({"group": self.group.node_group_name})

    def _template(self, name: str, args: NodesArgs) -> aws.ec2.LaunchTemplate:
        # What EC2 starts for the group does not get the provider's default tags by itself.
        given = aws.get_default_tags_output(opts=pulumi.InvokeOptions(parent=self)).tags
        tags = Output.all(given, args.cluster_name).apply(lambda plain: node_tags(*plain))
        return aws.ec2.LaunchTemplate(
            name,
            update_default_version=True,
            user_data=base64.b64encode(user_data(MAX_PODS).encode()).decode(),
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name="/dev/xvda",
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_type="gp3",
                        volume_size=DISK_GIB,
                        encrypted="true",
                        kms_key_id=args.disk_key_arn,
                        delete_on_termination="true",
                    ),
                )
            ],
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
                for kind in ("instance", "volume", "network-interface")
            ],
            opts=ResourceOptions(parent=self),
        )


def node_tags(given: Mapping[str, str], cluster_name: str) -> dict[str, str]:
    """The tags of an instance, its disk and its interfaces."""
    return {**given, "Name": f"{cluster_name}-node"}


def user_data(max_pods: int) -> str:
    """What nodeadm adds to the configuration that EKS writes for a node.

    The image counts a node's pods by its addresses as if each took one; with prefixes it has room for more
    (29 on an m7g.large become 110).
    """
    return f"""\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="//"

--//
Content-Type: application/node.eks.aws

---
apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  kubelet:
    config:
      maxPods: {max_pods}

--//--
"""
