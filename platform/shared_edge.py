"""The load balancer that all environments of a base share: its names, its doors, its own answers."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from access_logs import AccessLogs, AccessLogsArgs
from certificate import Certificate, CertificateArgs
from firewall import Firewall, FirewallArgs
from names import physical
from network import Subnets
from settings import EdgeSettings

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
"""TLS 1.3, and of 1.2 only suites with forward secrecy and AEAD."""
HSTS = "max-age=31536000"
IDLE_SECONDS = 60
"""The services keep a connection for longer (75 s), so that none is closed while a request is on its way."""


@dataclass(frozen=True)
class SharedEdgeArgs:
    """`gateway_port` is the only one that it may reach, anywhere in the VPC. `cluster_security_group_id` is
    the group of the pods behind it, which lets it in there."""

    settings: EdgeSettings
    prefix: str
    region: str
    account_id: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    vpc_cidr: pulumi.Input[str]
    public: Subnets
    gateway_port: int
    cluster_security_group_id: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    retention_days: int
    protect: bool


@dataclass(frozen=True)
class Domain:
    """A domain and the zone that it is in."""

    name: str
    zone_id: str

    @property
    def host_suffix(self) -> str:
        """What the host name of a preview ends with."""
        return f".preview.{self.name}"

    @property
    def wildcard(self) -> str:
        """The host names of all previews."""
        return f"*{self.host_suffix}"


class SharedEdge(pulumi.ComponentResource):
    """Makes a public load balancer, its security group, log bucket and listeners; with a domain also its
    certificate, the redirect to HTTPS and the name `*.preview.<domain>`; by setting a firewall.

    Costs about 30 USD a month at rest (load balancer, an IPv4 address per zone), the firewall 9 more. A host
    that no environment claims gets 404 from the load balancer itself. The VPC needs its internet gateway
    before: depend on the network. Refuses a domain without its zone.
    """

    listener_arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]
    arn_suffix: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]
    host_suffix: pulumi.Output[str]
    dns_zone_id: pulumi.Output[str]

    def __init__(self, name: str, args: SharedEdgeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        domain = domain_of(args.settings)
        super().__init__("gobanking:platform:SharedEdge", name, {}, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        group = self._security_group(args, ports(domain))
        balancer = self._load_balancer(args, group)
        if args.settings.waf:
            Firewall(
                f"{name}-firewall",
                FirewallArgs(args.prefix, balancer.arn, args.log_key_arn, args.retention_days),
                self._child,
            )
        listener = self._https(balancer, domain) if domain else self._http(balancer)
        self.listener_arn = listener.arn
        self.security_group_id = group.id
        self.arn_suffix = balancer.arn_suffix
        self.dns_name = balancer.dns_name
        self.zone_id = balancer.zone_id
        self.host_suffix = pulumi.Output.from_input(domain.host_suffix if domain else "")
        self.dns_zone_id = pulumi.Output.from_input(domain.zone_id if domain else "")
        self.register_outputs(
            {
                "listener_arn": self.listener_arn,
                "security_group_id": self.security_group_id,
                "arn_suffix": self.arn_suffix,
                "dns_name": self.dns_name,
                "zone_id": self.zone_id,
                "host_suffix": self.host_suffix,
                "dns_zone_id": self.dns_zone_id,
            }
        )

    def _security_group(self, args: SharedEdgeArgs, open_ports: tuple[int, ...]) -> aws.ec2.SecurityGroup:
        group = aws.ec2.SecurityGroup(
            f"{self._name}-group",
            description="The public load balancer",
            vpc_id=args.vpc_id,
            tags={"Name": physical(args.prefix, "edge")},
            opts=self._child,
        )
        for port in open_ports:
            for cidr in args.settings.ingress_cidrs:
                # Named by the range: taking one out must not move the others.
                aws.vpc.SecurityGroupIngressRule(
                    f"{self._name}-{port}-from-{cidr.replace('/', '-')}",
                    security_group_id=group.id,
                    cidr_ipv4=cidr,
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    opts=self._child,
                )
        aws.vpc.SecurityGroupEgressRule(
            f"{self._name}-to-gateway",
            security_group_id=group.id,
            cidr_ipv4=args.vpc_cidr,
            ip_protocol="tcp",
            from_port=args.gateway_port,
            to_port=args.gateway_port,
            opts=self._child,
        )
        # Once for all environments: in a second one AWS would refuse the same rule.
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-into-cluster",
            description="Gateways from the load balancer",
            security_group_id=args.cluster_security_group_id,
            referenced_security_group_id=group.id,
            ip_protocol="tcp",
            from_port=args.gateway_port,
            to_port=args.gateway_port,
            opts=self._child,
        )
        return group

    def _load_balancer(self, args: SharedEdgeArgs, group: aws.ec2.SecurityGroup) -> aws.lb.LoadBalancer:
        logs = AccessLogs(
            f"{self._name}-logs",
            AccessLogsArgs(args.account_id, args.retention_days, args.protect),
            self._child,
        )
        return aws.lb.LoadBalancer(
            f"{self._name}-alb",
            load_balancer_type="application",
            internal=False,
            ip_address_type="ipv4",
            subnets=list(args.public.ids),
            security_groups=[group.id],
            access_logs=aws.lb.LoadBalancerAccessLogsArgs(bucket=logs.bucket, enabled=True),
            # What is not plain HTTP by the RFC could be read differently behind: it goes no further.
            drop_invalid_header_fields=True,
            desync_mitigation_mode="strictest",
            enable_deletion_protection=args.protect,
            idle_timeout=IDLE_SECONDS,
            tags={"Name": physical(args.prefix, "edge")},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, depends_on=[logs]),
        )

    def _https(self, balancer: aws.lb.LoadBalancer, domain: Domain) -> aws.lb.Listener:
        certificate = Certificate(
            f"{self._name}-tls",
            CertificateArgs((domain.name, domain.wildcard), domain.zone_id),
            self._child,
        )
        listener = aws.lb.Listener(
            f"{self._name}-https",
            load_balancer_arn=balancer.arn,
            port=443,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=certificate.arn,
            default_actions=[_nobody()],
            routing_http_response_server_enabled=False,
            routing_http_response_strict_transport_security_header_value=HSTS,
            opts=self._child,
        )
        aws.lb.Listener(
            f"{self._name}-redirect",
            load_balancer_arn=balancer.arn,
            port=80,
            protocol="HTTP",
            default_actions=[
                aws.lb.ListenerDefaultActionArgs(
                    type="redirect",
                    redirect=aws.lb.ListenerDefaultActionRedirectArgs(
                        protocol="HTTPS", port="443", status_code="HTTP_301"
                    ),
                )
            ],
            routing_http_response_server_enabled=False,
            opts=self._child,
        )
        aws.route53.Record(
            f"{self._name}-previews",
            zone_id=domain.zone_id,
            name=domain.wildcard,
            type="A",
            aliases=[
                aws.route53.RecordAliasArgs(
                    name=balancer.dns_name, zone_id=balancer.zone_id, evaluate_target_health=False
                )
            ],
            opts=self._child,
        )
        return listener

    def _http(self, balancer: aws.lb.LoadBalancer) -> aws.lb.Listener:
        return aws.lb.Listener(
            f"{self._name}-http",
            load_balancer_arn=balancer.arn,
            port=80,
            protocol="HTTP",
            default_actions=[_nobody()],
            routing_http_response_server_enabled=False,
            opts=self._child,
        )


def domain_of(settings: EdgeSettings) -> Domain | None:
    """The domain with its zone, if there is one. `ValueError` for half of it."""
    match settings.domain, settings.zone_id:
        case str(name), str(zone_id):
            return Domain(name, zone_id)
        case None, None:
            return None
        case _:
            raise ValueError("a domain and the zone that it is in go together: give both or neither")


def ports(domain: Domain | None) -> tuple[int, ...]:
    """What is open to the outside: HTTPS and its redirect, or plain HTTP where there is no name for TLS."""
    return (443, 80) if domain else (80,)


def not_found() -> str:
    """The problem document for a host or a path that nobody serves, as the gateway would write it. Its type
    is only `application/json`: a load balancer knows no others, nor more than 1024 bytes."""
    return json.dumps(
        {
            "type": "https://gobanking.example/problems/not_found",
            "title": "There is nothing here",
            "status": 404,
            "code": "not_found",
            "detail": "No environment has this name.",
        }
    )


def _nobody() -> aws.lb.ListenerDefaultActionArgs:
    return aws.lb.ListenerDefaultActionArgs(
        type="fixed-response",
        fixed_response=aws.lb.ListenerDefaultActionFixedResponseArgs(
            content_type="application/json", status_code="404", message_body=not_found()
        ),
    )
