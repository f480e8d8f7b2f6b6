"""The rules of a configuration that look at more than one value, or at what the stack is for.

Each notes what breaks it in the `Values` that it is given and raises nothing.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import combinations

import configuration_forms as forms
from apps.catalog import Catalog
from configuration_values import FormError, Values
from settings import Created, Kind, Referenced, Settings

PROTECTED_NAMES = frozenset({"dev", "staging", "prod"})
RESERVED_PREFIX = re.compile(r"default|kube-.*|amazon-cloudwatch|internal-.*")
"""Namespaces that the cluster has, and what AWS lets no load balancer's name begin with."""
SERVICE_RANGE = forms.Network("172.20.0.0/16")
"""The addresses of the cluster's Services, which no VPC may have."""
RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""The periods that CloudWatch Logs knows."""
TAG_LIMIT = 40
"""AWS has room for 50; the rest are ours and Kubernetes'."""

Subnets = tuple[tuple[str, forms.Network], ...]


def deployed(catalog: Catalog, *, simulators: bool) -> Catalog:
    """The part of the bank that an environment runs."""
    return catalog if simulators else catalog.without(lambda service: service.kind == "simulator")


def check(values: Values, settings: Settings) -> None:
    """All rules that hold for every kind of stack, but for those of the functions below."""
    _base(values, settings)
    _names(values, settings)
    _egress(values, settings)
    values.require(
        settings.observability.retention_days in RETENTION_DAYS,
        "logRetentionDays",
        rule="is no period that CloudWatch Logs knows",
        mend=f"choose one of {', '.join(str(days) for days in RETENTION_DAYS)}",
    )
    if isinstance(settings.base, Created):
        _created(values, settings.base)


def given_vpc(
    values: Values, cidr: forms.Network | None, subnets: Mapping[str, Subnets], addresses: tuple[str, ...]
) -> None:
    """Three distinct subnets of each kind, inside the VPC and apart from each other; and where NAT is."""
    for key, some in subnets.items():
        values.require(
            len(some) == 3,
            key,
            rule=f"must have exactly three subnets, one for each zone, and has {len(some)}",
            mend="write three as SUBNET_ID=CIDR, in the order of the zones",
        )
        for subnet_id, network in some:
            values.require(
                cidr is None or network.subnet_of(cidr),
                key,
                rule=f"{subnet_id} ({network}) is not inside the VPC's range {cidr}",
                mend="write the subnet's CIDR, and the VPC's in vpcCidr",
            )
    everyone = [(key, *subnet) for key, some in subnets.items() for subnet in some]
    for (_, first_id, first), (key, second_id, second) in combinations(everyone, 2):
        values.require(
            not first.overlaps(second) and first_id != second_id,
            key,
            rule=f"{second_id} ({second}) is or overlaps {first_id} ({first})",
            mend="name nine subnets, each once",
        )
    values.require(
        bool(addresses),
        "natAddresses",
        rule="must have the addresses that the VPC's traffic leaves by: Bacen allow-lists them",
        mend="write the public addresses of its NAT gateways",
    )


def given_images(
    values: Values, images: tuple[tuple[str, str], ...], wanted: Catalog, catalog: Catalog
) -> None:
    """Exactly one image for each service; one for a simulator that is not deployed does not matter."""
    known = sorted(service.name for service in catalog.services)
    given = [service for service, _ in images]
    for service in sorted(set(given)):
        near = get_close_matches(service, known, 1)
        values.require(
            service in known,
            "images",
            rule=f"names '{service}', which is no service",
            mend=f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}",
        )
        values.require(
            given.count(service) == 1,
            "images",
            rule=f"gives '{service}' more than one image",
            mend="give it one",
        )
    missing = sorted({service.name for service in wanted.services} - set(given))
    values.require(
        not missing,
        "images",
        "simulators",
        rule=f"has no image for {', '.join(missing)}",
        mend="add SERVICE=REGISTRY/NAME@sha256:DIGEST for each, or set imageSource to build",
    )


def revision(values: Values, kind: Kind, checked_out: str) -> None:
    """What images are tagged with is a commit; outside prod it may have changes that no commit has."""
    try:
        forms.revision(checked_out)
    except FormError as refusal:
        values.require(False, "imageSource", rule=refusal.rule, mend=refusal.mend)
        return
    values.require(
        kind != "prod" or not checked_out.endswith("-dirty"),
        "imageSource",
        "kind",
        rule=f"the checkout {checked_out} has changes that no commit has, and prod runs commits only",
        mend="commit or stash them",
    )


def tags(values: Values, further: Mapping[str, str], ours: Mapping[str, str]) -> None:
    """Tags that AWS accepts, and that leave ours alone."""
    allowed = r"[\w +\-=._:/@]"
    for name, text in further.items():
        values.require(
            re.fullmatch(rf"(?!(?i:aws):){allowed}{{1,128}}", name, re.ASCII) is not None
            and re.fullmatch(rf"{allowed}{{0,256}}", text, re.ASCII) is not None,
            "tags",
            rule=f"'{name}' is no tag that AWS accepts",
            mend="letters, digits, spaces and + - = . _ : / @, at most 128 in its name, which does not "
            "begin with aws:, and 256 in its value",
        )
        values.require(
            name not in ours,
            "tags",
            rule=f"'{name}' is a tag that every resource has anyway",
            mend="take it out",
        )
    values.require(
        len(further) <= TAG_LIMIT, "tags", rule=f"has more than {TAG_LIMIT} tags", mend="take some out"
    )


def _base(values: Values, settings: Settings) -> None:
    preview = settings.kind == "preview"
    referenced = isinstance(settings.base, Referenced)
    values.require(
        referenced or not preview,
        "base",
        "kind",
        rule="a preview makes no base of its own",
        mend="set it to reference and name the stack in baseStack",
    )
    values.require(
        preview or not referenced,
        "base",
        "kind",
        rule=f"only a preview lives on another stack's base, and kind says {settings.kind}",
        mend="set it to create, or kind to preview",
    )
    stack = values.text("baseStack")
    values.require(
        referenced or not stack,
        "baseStack",
        "base",
        rule="names a base, while this stack makes its own",
        mend="take it out, or set base to reference",
    )
    if not referenced:
        return
    values.require(
        bool(stack),
        "baseStack",
        "base",
        rule="must name the stack that made the base (base: reference)",
        mend=f"write organization/{settings.project}/dev",
    )
    values.require(
        stack.split("/")[-2:] != [settings.project, settings.stack],
        "baseStack",
        rule="names this stack itself",
        mend="name the stack that made the base",
    )


def _names(values: Values, settings: Settings) -> None:
    values.require(
        not RESERVED_PREFIX.fullmatch(settings.prefix),
        "prefix",
        rule=f"'{settings.prefix}' is reserved by Kubernetes or AWS",
        mend="choose another",
    )
    values.require(
        settings.stack != "prod" or settings.kind != "dev",
        "kind",
        rule="a stack that is called prod and is not protected as such would be lost by mistake",
        mend="set it to prod, or call the stack otherwise",
    )
    preview = settings.kind == "preview"
    values.require(
        settings.rule_priority is None or preview,
        "rulePriority",
        "kind",
        rule="is a preview's: the base's own environment is always asked last",
        mend="take it out",
    )
    if not preview:
        return
    values.require(
        settings.stack not in PROTECTED_NAMES,
        "kind",
        rule=f"the stack is called '{settings.stack}', which no preview may be",
        mend="gobank preview up chooses a name by the branch",
    )
    base = values.text("baseStack").rpartition("/")[2]
    for name in sorted((PROTECTED_NAMES | {base}) - {settings.stack}):
        values.require(
            settings.prefix != name,
            "prefix",
            rule=f"'{name}' is the prefix of an environment that a preview must not touch",
            mend="choose another, or leave it empty for the stack's name",
        )


def _created(values: Values, base: Created) -> None:
    cidr = base.network.cidr
    values.require(
        not cidr or not forms.Network(cidr).overlaps(SERVICE_RANGE),
        "vpcCidr",
        rule=f"overlaps {SERVICE_RANGE}, the addresses of the cluster's Services",
        mend="choose one within 10.0.0.0/8",
    )
    values.require(
        base.cluster.nodes <= base.cluster.max_nodes,
        "nodes",
        "maxNodes",
        rule=f"is more than maxNodes, {base.cluster.max_nodes}",
        mend="raise maxNodes or begin with fewer",
    )
    values.require(
        base.kafka.brokers == 2 or base.kafka.brokers % 3 == 0,
        "kafkaBrokers",
        rule="must be 2 or a multiple of 3: each zone that has brokers has as many as the others",
        mend="choose 2 for dev, 3 for prod",
    )
    values.require(
        bool(base.edge.domain) == bool(base.edge.zone_id),
        "hostedZoneId" if base.edge.domain else "domain",
        "domain",
        "hostedZoneId",
        rule="domain and hostedZoneId need each other: the certificate is proved in that zone",
        mend="set both or neither",
    )
    values.require(
        bool(base.edge.ingress_cidrs),
        "ingressCidrs",
        rule="must not be empty: nobody would reach the load balancer",
        mend='write ["0.0.0.0/0"] for everyone',
    )


def _egress(values: Values, settings: Settings) -> None:
    keys = {"dict": "dictCidrs", "spi": "spiCidrs"}
    ranges = [
        (key, forms.Network(cidr))
        for name, key in keys.items()
        for cidr in (settings.egress["dict"] if name == "dict" else settings.egress["spi"])
    ]
    for (_, first), (key, second) in combinations(ranges, 2):
        values.require(
            first == second or not first.overlaps(second),
            key,
            rule=f"{second} overlaps {first}",
            mend="name each address once: only dict_key may reach the DICT's",
        )
    named = {key for key, _ in ranges}
    for key in keys.values():
        if settings.simulators:
            values.require(
                key not in named,
                key,
                "simulators",
                rule="names Bacen, while the simulator stands in for it",
                mend="take it out, or set simulators to false",
            )
        else:
            values.require(
                key in named,
                key,
                "simulators",
                rule="must name Bacen's ranges where no simulator stands in (simulators: false)",
                mend="write them",
            )
    if isinstance(settings.base, Created):
        values.require(
            settings.simulators or settings.base.network.interface_endpoints,
            "interfaceEndpoints",
            "simulators",
            rule="is the only way for dict_key to Secrets Manager, since its egress is the DICT alone",
            mend="set it to true",
        )
