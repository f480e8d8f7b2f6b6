"""Who reaches what: one door to the internet, and TLS behind it."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from policies.graph import UNKNOWN, Facts, Resource, Violation, at, members, of, violation, without

INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
SUBNET = "aws:ec2/subnet:Subnet"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
BROKERS = "aws:msk/cluster:Cluster"
BUCKET = "aws:s3/bucket:Bucket"
BUCKET_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
CLUSTER = "aws:eks/cluster:Cluster"
CLUSTER_COMPONENT = "eks:index:Cluster"
SERVICE = "kubernetes:core/v1:Service"
INGRESS_OBJECT = "kubernetes:networking.k8s.io/v1:Ingress"

ANYWHERE = frozenset({"0.0.0.0/0", "::/0"})
PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def ingress(resources: Sequence[Resource], facts: Facts) -> Iterator[Violation]:
    """Public addresses come in at the load balancer only, by its ports, from the ranges in the settings."""
    doors = {group for balancer in of(resources, BALANCER) for group in balancer.each("securityGroups")}
    for resource, group, ports, cidr in _openings(resources):
        if not _public(cidr):
            continue
        # An id that a preview does not know yet may be the load balancer's.
        if group is not UNKNOWN and UNKNOWN not in doors and group not in doors:
            yield violation(resource, f"{cidr} reaches what is not the load balancer")
        elif ports not in {(443, 443), (80, 80)}:
            yield violation(resource, f"{cidr} reaches the ports {ports}, not 443 or 80 alone")
        elif cidr not in facts.ingress_cidrs:
            yield violation(resource, f"{cidr} is not in gobanking:ingressCidrs")


def _openings(resources: Sequence[Resource]) -> Iterator[tuple[Resource, Any, tuple[Any, Any], str]]:
    """Each ingress rule: who says so, on which group, the ports, the range."""
    for rule in of(resources, INGRESS):
        ports = (rule.at("fromPort"), rule.at("toPort"))
        for cidr in (rule.at("cidrIpv4"), rule.at("cidrIpv6")):
            if isinstance(cidr, str):
                yield rule, rule.at("securityGroupId"), ports, cidr
    for rule in of(resources, RULE):
        if rule.at("type") == "ingress":
            ports = (rule.at("fromPort"), rule.at("toPort"))
            for cidr in (*rule.each("cidrBlocks"), *rule.each("ipv6CidrBlocks")):
                yield rule, rule.at("securityGroupId"), ports, cidr
    for group in of(resources, GROUP):
        for inline in group.each("ingress"):
            ports = (at(inline, "fromPort"), at(inline, "toPort"))
            for cidr in (*members(inline, "cidrBlocks"), *members(inline, "ipv6CidrBlocks")):
                yield group, group.at("id"), ports, cidr


def _public(cidr: Any) -> bool:
    if not isinstance(cidr, str):
        return False
    network = ipaddress.ip_network(cidr, strict=False)
    return not any(
        network.version == private.version and network.subnet_of(private)  # type: ignore[arg-type]
        for private in PRIVATE
    )


def public_addresses(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Nothing gets a public address by itself: not by its subnet, its template, nor as a broker."""
    for subnet in of(resources, SUBNET):
        if subnet.at("mapPublicIpOnLaunch") is True:
            yield violation(subnet, "gives every interface a public address")
    for template in of(resources, TEMPLATE):
        for interface in template.each("networkInterfaces"):
            if str(at(interface, "associatePublicIpAddress")).lower() == "true":
                yield violation(template, "gives nodes public addresses")
    for brokers in of(resources, BROKERS):
        access = brokers.at("brokerNodeGroupInfo", "connectivityInfo", "publicAccess", "type")
        if access not in (None, UNKNOWN, "DISABLED"):
            yield violation(brokers, "brokers are public")


def kubernetes_doors(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """No Kubernetes object opens a way in: Pulumi owns the load balancer, or it outlives the stack."""
    for each in of(resources, INGRESS_OBJECT):
        yield violation(each, "an Ingress makes a load balancer of its own")
    for service in of(resources, SERVICE):
        kind = service.at("spec", "type")
        if kind not in (None, UNKNOWN, "ClusterIP"):
            yield violation(service, f"is of type {kind}, not ClusterIP")


def private_buckets(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Every bucket has a block on public access, with all four parts."""
    for block in of(resources, BUCKET_BLOCK):
        for part in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
            if block.at(part) not in (True, UNKNOWN):
                yield violation(block, f"{part} is not true")
    for bucket in without(resources, BUCKET, BUCKET_BLOCK):
        yield violation(bucket, "has no block on public access")


def tls(resources: Sequence[Resource], facts: Facts) -> Iterator[Violation]:
    """HTTPS of today; plain HTTP only redirects, but for a stack without a domain; brokers by TLS only."""
    clear = not facts.domain and facts.kind != "prod"
    for listener in of(resources, LISTENER):
        policy = listener.at("sslPolicy")
        redirects = all(at(action, "type") == "redirect" for action in listener.each("defaultActions"))
        if listener.at("protocol") == "HTTPS":
            if policy is not UNKNOWN and not str(policy).startswith("ELBSecurityPolicy-TLS13-1-"):
                yield violation(listener, f"its TLS policy is {policy}")
        elif not clear and not redirects:
            yield violation(listener, "answers plain HTTP where there is a domain for HTTPS")
    for brokers in of(resources, BROKERS):
        if brokers.at("encryptionInfo", "encryptionInTransit", "clientBroker") not in ("TLS", UNKNOWN):
            yield violation(brokers, "clients may speak in clear")
        if brokers.at("clientAuthentication", "unauthenticated") is True:
            yield violation(brokers, "clients need not say who they are")


def cluster_endpoint(resources: Sequence[Resource], facts: Facts) -> Iterator[Violation]:
    """In prod the cluster's API is not open to everybody."""
    if facts.kind != "prod":
        return
    for cluster in of(resources, CLUSTER, CLUSTER_COMPONENT):
        where = ("vpcConfig",) if cluster.type == CLUSTER else ()
        # AWS opens it to everybody unless told otherwise.
        cidrs = set(cluster.each(*where, "publicAccessCidrs")) or ANYWHERE
        if cluster.at(*where, "publicAccessCidrs") is UNKNOWN:
            continue
        if cluster.at(*where, "endpointPublicAccess") is not False and cidrs & ANYWHERE:
            yield violation(cluster, "its API endpoint is open to the internet")
