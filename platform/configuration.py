"""Reads what an environment may be from a stack's configuration, and refuses what cannot be.

Everything is judged before any resource exists, and all that is wrong is said at once: each problem with
its key, value, rule, file and how to mend it. Defaults come from `Pulumi.yaml` alone. The forms of single
values are in `configuration_forms`, the rules that look at several in `configuration_rules` and, for prod
alone, in `configuration_prod`.
"""

import json
from collections.abc import Mapping

import yaml

import configuration_forms as forms
import configuration_prod as prod
import configuration_rules as rules
from apps.catalog import Catalog
from configuration_values import FormError, SettingsError, Values
from settings import (
    BuiltImages,
    ClusterSettings,
    Created,
    EdgeSettings,
    GivenImages,
    GivenVpc,
    IdentitySettings,
    KafkaSettings,
    Kind,
    NetworkSettings,
    ObservabilitySettings,
    Referenced,
    Settings,
)

KINDS: tuple[Kind, ...] = ("dev", "prod", "preview")
TUNABLES = {
    "ispb": "ispb",
    "opening_grant_cents": "openingGrantCents",
    "hold_minutes": "holdMinutes",
    "outbox_shards": "outboxShards",
    "audit_seconds": "auditSeconds",
    "log_level": "logLevel",
    "dict_url": "dictUrl",
    "dict_category": "dictCategory",
    "spi_url": "spiUrl",
}
"""The catalog's settings that a stack decides, and by which key."""
RULE_PRIORITY_LIMIT = 49_999
"""The last number of a listener's rules is the base's own environment's."""


def read(
    raw: Mapping[str, str],
    *,
    project: str,
    stack: str,
    revision: str,
    catalog: Catalog,
    defaults: Mapping[str, str],
) -> Settings:
    """The settings of one stack. Raises `SettingsError` with everything that is wrong.

    `raw` is the stack's whole configuration as Pulumi gives it, `NAMESPACE:KEY` to text; `defaults` are the
    project's (`project_defaults`). `revision` is the checked out commit, `-dirty` at its end when files
    differ from it, empty where there is none. `catalog` is the bank that is deployed.
    """
    values = Values(raw, project, stack, defaults)
    region = values.required("aws:region", forms.region, "name a region such as sa-east-1")
    kind = values.choice("kind", KINDS)
    simulators = values.flag("simulators")
    settings = Settings(
        project=project,
        stack=stack,
        region=region or "",
        kind=kind,
        prefix=_prefix(values),
        base=_base(values, region),
        images=_images(values, kind, revision, rules.deployed(catalog, simulators=simulators), catalog),
        simulators=simulators,
        egress={
            "dict": _texts(values.each("dictCidrs", forms.allow_listed)),
            "spi": _texts(values.each("spiCidrs", forms.allow_listed)),
        },
        rule_priority=values.whole("rulePriority", 0, RULE_PRIORITY_LIMIT) or None,
        max_replicas=values.whole("maxReplicas", 2, 100),
        tunables=_tunables(values, simulators=simulators),
        observability=_observability(values),
        tags=_tags(values, kind),
    )
    rules.check(values, settings)
    if settings.kind == "prod":
        prod.check(values, settings)
    values.refuse_unknown()
    if values.problems:
        raise SettingsError(stack, values.problems)
    return settings


def project_defaults(project_file: str) -> dict[str, str]:
    """The defaults that the text of a `Pulumi.yaml` declares, as Pulumi gives them to the program."""
    declared = yaml.safe_load(project_file)["config"]
    return {key: _as_given(about["default"]) for key, about in declared.items() if "default" in about}


def _as_given(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _texts(networks: tuple[forms.Network, ...]) -> tuple[str, ...]:
    return tuple(str(network) for network in networks)


def _prefix(values: Values) -> str:
    given = values.text("prefix")
    prefix = given or values.stack
    try:
        return forms.prefix(prefix)
    except FormError as refusal:
        of_stack = "" if given else f'is empty, so the stack\'s name "{values.stack}" is the prefix, which '
        if values.readable("prefix"):
            values.refuse("prefix", of_stack + refusal.rule, refusal.mend)
        return prefix


def _base(values: Values, region: str | None) -> Created | Referenced:
    stack = values.one("baseStack", forms.stack_reference)
    if values.choice("base", ("create", "reference")) == "create":
        return _created(values, region)
    # What would be read if the base were created here is what must not be set where it is not.
    unused = Values(values.raw, values.project, values.stack, values.defaults)
    _created(unused, region)
    for key in sorted(unused.asked):
        values.text(key)
        values.require(
            values.at_default(key),
            key,
            rule="belongs to the base, which is another stack's (base: reference)",
            mend="take it out, or set it in the base's own stack",
        )
    return Referenced(stack or "")


def _created(values: Values, region: str | None) -> Created:
    return Created(
        network=_network(values, region),
        cluster=ClusterSettings(
            version=values.required("kubernetesVersion", forms.kubernetes_version, "name one") or "",
            node_type=values.required("nodeType", forms.node_type, "choose one such as m7g.large") or "",
            nodes=values.whole("nodes", 2, 100),
            max_nodes=values.whole("maxNodes", 2, 100),
            api_cidrs=_texts(values.each("clusterApiCidrs", forms.open_or_public)),
            admin_roles=values.each("adminRoles", forms.role_arn),
            previews=values.whole("previews", 0, 50),
        ),
        kafka=KafkaSettings(
            version=values.required("kafkaVersion", forms.kafka_version, "name one") or "",
            broker_type=values.required("kafkaType", forms.kafka_type, "choose kafka.t3.small") or "",
            brokers=values.whole("kafkaBrokers", 2, 30),
            volume_gib=values.whole("kafkaVolumeGib", 1, 16384),
        ),
        identity=IdentitySettings(
            mfa=values.choice("mfa", ("OFF", "OPTIONAL", "ON")),
            tier=values.choice("identityTier", ("ESSENTIALS", "PLUS")),
        ),
        edge=EdgeSettings(
            domain=values.one("domain", forms.domain),
            zone_id=values.one("hostedZoneId", forms.hosted_zone_id),
            ingress_cidrs=_texts(values.each("ingressCidrs", forms.network)),
            waf=values.flag("waf"),
        ),
    )


def _network(values: Values, region: str | None) -> NetworkSettings:
    vpc_id = values.one("vpcId", forms.vpc_id)
    form = forms.given_vpc_range if values.text("vpcId") else forms.vpc_range
    cidr = values.required("vpcCidr", form, "write a private range such as 10.0.0.0/16")
    zones = values.each("availabilityZones", forms.zone_of(region) if region else str)
    values.require(
        len(zones) in {0, 3},
        "availabilityZones",
        rule="must be exactly three zones: brokers, nodes and NAT are spread over three",
        mend="name three, or none for a, b and c",
    )
    first, second, third = zones if len(zones) == 3 else [f"{region}{letter}" for letter in "abc"]
    return NetworkSettings(
        cidr=str(cidr or ""),
        zones=(first, second, third),
        nat_per_zone=values.flag("natPerZone"),
        interface_endpoints=values.flag("interfaceEndpoints"),
        flow_logs=values.choice("flowLogs", ("REJECT", "ALL")),
        given=_given_vpc(values, vpc_id, cidr),
    )


def _given_vpc(values: Values, vpc_id: str | None, cidr: forms.Network | None) -> GivenVpc | None:
    kinds = ("publicSubnets", "privateSubnets", "isolatedSubnets")
    subnets = {key: values.each(key, forms.subnet) for key in kinds}
    addresses = values.each("natAddresses", forms.public_address)
    if vpc_id is None:
        for key in (*kinds, "natAddresses"):
            values.require(
                values.at_default(key),
                key,
                "vpcId",
                rule="describes a VPC that you have, and vpcId names none",
                mend="name the VPC in vpcId, or take this out",
            )
        return None
    rules.given_vpc(values, cidr, subnets, addresses)
    public, private, isolated = (
        {subnet_id: str(network) for subnet_id, network in subnets[key]} for key in kinds
    )
    return GivenVpc(vpc_id, str(cidr or ""), public, private, isolated, addresses)


def _images(
    values: Values, kind: Kind, revision: str, deployed: Catalog, catalog: Catalog
) -> GivenImages | BuiltImages:
    source = values.choice("imageSource", ("given", "build"))
    images = values.each("images", forms.image)
    if source == "given":
        if values.readable("imageSource"):
            rules.given_images(values, images, deployed, catalog)
        names = {service.name for service in deployed.services}
        return GivenImages({service: reference for service, reference in images if service in names})
    values.require(
        not images,
        "images",
        rule="gives images, while imageSource says that they are built here",
        mend="take them out, or set imageSource to given",
    )
    rules.revision(values, kind, revision)
    return BuiltImages(tag=f"{'pr' if kind == 'preview' else 'main'}-{revision}")


def _tunables(values: Values, *, simulators: bool) -> dict[str, str]:
    numbers = {
        "opening_grant_cents": (0, 10_000_000),
        "hold_minutes": (1, 1440),
        "outbox_shards": (1, 64),
        "audit_seconds": (30, 86400),
    }
    dict_url = values.required("dictUrl", forms.dict_url, "write it")
    spi_url = values.required("spiUrl", forms.spi_url, "write it")
    read_as = {name: str(values.whole(TUNABLES[name], *limits)) for name, limits in numbers.items()}
    return {
        "ispb": values.required("ispb", forms.ispb, "write this bank's ISPB") or "",
        "log_level": values.choice("logLevel", ("DEBUG", "INFO", "WARNING", "ERROR")),
        # Without an address, the simulator's is taken.
        "dict_url": "" if simulators or dict_url is None else dict_url,
        "dict_category": values.choice("dictCategory", ("A", "B", "C", "D", "E", "F", "G", "H")),
        "spi_url": "" if simulators or spi_url is None else spi_url,
        **read_as,
    }


def _observability(values: Values) -> ObservabilitySettings:
    return ObservabilitySettings(
        retention_days=values.whole("logRetentionDays", 1, 3653),
        container_insights=values.flag("containerInsights"),
        alarm_email=values.one("alarmEmail", forms.email),
        monthly_budget_usd=values.whole("monthlyBudgetUsd", 1, 1_000_000),
    )


def _tags(values: Values, kind: Kind) -> dict[str, str]:
    own = {"project": values.project, "stack": values.stack, "kind": kind, "managed-by": "pulumi"}
    ours = {f"{values.project}:{name}": text for name, text in own.items()}
    further = values.texts("tags")
    rules.tags(values, further, ours)
    return further | ours
