"""What prod must name, so that nothing in it is a default of dev or a placeholder of an example.

The rules are as those of `configuration_rules`: each notes what breaks it, none raises.
"""

import re

import configuration_forms as forms
from configuration_values import Values
from settings import Created, Settings


def check(values: Values, settings: Settings) -> None:
    """All that prod must name, and must not be."""
    values.require(
        not settings.simulators,
        "simulators",
        "kind",
        rule="prod never runs a simulator",
        mend="set it to false",
    )
    values.require(
        settings.tunables["opening_grant_cents"] == "0",
        "openingGrantCents",
        "kind",
        rule="prod gives no money away",
        mend="set it to 0",
    )
    email = settings.observability.alarm_email
    values.require(
        email is not None,
        "alarmEmail",
        "kind",
        rule="prod must tell somebody of an alarm",
        mend="set an address",
    )
    _no_example(values, "alarmEmail", email or "")
    if isinstance(settings.base, Created):
        _base(values, settings.base)
        _placeholders(values, settings.base)


def _base(values: Values, base: Created) -> None:
    for met, key, rule, mend in (
        (bool(base.edge.domain), "domain", "prod speaks TLS only, which needs a domain", "set it"),
        (base.edge.waf, "waf", "prod stands behind the web application firewall", "set it to true"),
        (base.identity.mfa == "ON", "mfa", "prod asks everybody for a second factor", "set it to ON"),
        (
            base.network.nat_per_zone or base.network.given is not None,
            "natPerZone",
            "prod outlives a zone, and so must its way out",
            "set it to true",
        ),
        (
            str(forms.ANYWHERE) not in base.cluster.api_cidrs,
            "clusterApiCidrs",
            "prod's cluster is not open to everyone",
            "name who administers it, or nobody to close it to all but the VPC",
        ),
        (
            bool(base.cluster.admin_roles),
            "adminRoles",
            "prod must not depend on the one principal that created the cluster",
            "name a role",
        ),
        (base.cluster.previews == 0, "previews", "prod's nodes run no preview", "set it to 0"),
        (
            not base.kafka.broker_type.startswith("kafka.t3."),
            "kafkaType",
            "prod's brokers must not run out of CPU credits",
            "choose kafka.m7g.large",
        ),
        (
            base.kafka.brokers % 3 == 0,
            "kafkaBrokers",
            "prod keeps three copies of each record, in three zones",
            "set it to 3",
        ),
    ):
        values.require(met, key, "kind", rule=rule, mend=mend)


def _placeholders(values: Values, base: Created) -> None:
    for role in base.cluster.admin_roles:
        _no_example(values, "adminRoles", role, f"{role} is a placeholder")
    _no_example(values, "domain", base.edge.domain or "")
    _no_example(values, "hostedZoneId", base.edge.zone_id or "")
    for cidr in base.edge.ingress_cidrs:
        values.require(
            not any(forms.Network(cidr).subnet_of(example) for example in forms.DOCUMENTATION),
            "ingressCidrs",
            rule=f"{cidr} is of a range for documentation (RFC 5737)",
            mend="write the real one",
        )


def _no_example(values: Values, key: str, text: str, rule: str = "is a placeholder") -> None:
    example = "EXAMPLE" in text or re.search(r"\bexample\.(com|net|org)$|\.example$", text)
    values.require(not example, key, rule=rule, mend="write the real one")
