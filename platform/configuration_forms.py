"""The form of each kind of single value: pure functions that give it back or raise `FormError`."""

import ipaddress
import re
from collections.abc import Callable

from configuration_values import FormError
from versions import VERSIONS

Network = ipaddress.IPv4Network

PRIVATE = tuple(Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918."""
DOCUMENTATION = tuple(Network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))
"""RFC 5737: ranges that are only for examples."""
RESERVED = (
    *PRIVATE,
    Network("0.0.0.0/8"),
    Network("100.64.0.0/10"),
    Network("127.0.0.0/8"),
    Network("169.254.0.0/16"),
    Network("192.0.0.0/24"),
    Network("198.18.0.0/15"),
    Network("224.0.0.0/3"),
)
"""What is not of the internet (RFC 6890), besides the examples."""
ANYWHERE = Network("0.0.0.0/0")
ALLOW_LIST_PREFIX = 16
"""The widest range that an allow-list of Bacen's addresses may have."""


def _form(pattern: str, rule: str, mend: str) -> Callable[[str], str]:
    """A text that is `pattern` from end to end."""
    compiled = re.compile(pattern, re.ASCII)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise FormError(rule, mend)
        return text

    return parse


region = _form(
    r"(?!cn-)[a-z]{2}-[a-z]+-[0-9]",
    "is not the name of a region of the partition aws",
    "write one such as sa-east-1",
)
prefix = _form(
    r"(?!.{26})(?!.*--)[a-z]([a-z0-9-]*[a-z0-9])?",
    "must begin with a lower case letter, have only lower case letters, digits and single dashes, "
    "not end with a dash and have at most 25 characters",
    "physical names are made of it, so choose one such as dev",
)
stack_reference = _form(
    r"[\w.-]+/[\w.-]+/[\w.-]+",
    "must be the full name of a stack, organization/project/stack",
    "with a bucket as backend that is organization/gobanking/dev",
)
vpc_id = _form(r"vpc-([0-9a-f]{8}|[0-9a-f]{17})", "is not the id of a VPC", "write one such as vpc-0a1b2c3d")
kubernetes_version = _form(
    "|".join(map(re.escape, VERSIONS)),
    "is not a version of Kubernetes that versions.py pins add-ons and node images for",
    f"write one of {', '.join(VERSIONS)}, in quotes so that YAML keeps a last zero, or pin what goes with it",
)
kafka_version = _form(
    r"(3\.[7-9]|[4-9]\.[0-9])\.([0-9]|x)\.kraft",
    "is not a version of Kafka without ZooKeeper as MSK names it",
    "write one such as 3.9.x.kraft",
)
kafka_type = _form(
    r"kafka\.(t3\.small|m7g\.(|x|2x|4x|8x|12x|16x)large)",
    "must be kafka.t3.small or of the kafka.m7g family, Standard brokers that have a disk of their own",
    "write kafka.t3.small for dev, kafka.m7g.large for prod",
)
role_arn = _form(
    r"arn:aws:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}",
    "is not the ARN of an IAM role",
    "write one such as arn:aws:iam::ACCOUNT:role/NAME, not a user, group or session",
)
domain = _form(
    r"(?!.{65})([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}",
    "must be a domain name in lower case of at most 64 characters, the certificate's limit",
    "write one such as bank.example.com, without scheme, path or a dot at its end",
)
hosted_zone_id = _form(
    r"Z[A-Z0-9]{5,31}",
    "is not the id of a Route 53 zone",
    "write the id that begins with Z, without /hostedzone/",
)
ispb = _form(r"[0-9]{8}", "must have eight digits", 'write it in quotes, such as "01234567"')
_API = r"https://[a-z0-9.-]{1,253}(:[0-9]{1,5})?(/[a-z0-9.-]{1,32}){1,4}"
dict_url = _form(
    _API,
    "is not the address of the DICT's API",
    "write it with https and up to its version, such as https://dict.pi.rsfn.net.br/api/v2",
)
spi_url = _form(
    _API,
    "is not the address of the SPI's ICOM",
    "write it with https and up to its version, such as https://icom.pi.rsfn.net.br/api/v1",
)
email = _form(
    r"[\w.+-]{1,64}@([a-z0-9-]+\.)+[a-z]{2,63}",
    "is not an e-mail address",
    "write one such as team@bank.com.br",
)
revision = _form(
    r"[0-9a-f]{7,40}(-dirty)?",
    "images are tagged with the commit that they are built of, and there is none",
    "run from a git checkout with a commit, or give the images by digest (imageSource: given)",
)


def node_type(text: str) -> str:
    """An EC2 type for nodes: arm64, as our images are, and of a family that can carry pod security groups."""
    parts = re.fullmatch(r"([a-z]+)([0-9]+)([a-z]*)(-[a-z0-9]+)?\.[a-z0-9-]+", text, re.ASCII)
    if parts is None:
        raise FormError("is not an EC2 instance type", "write one such as m7g.large")
    if parts[1] == "t":
        rule = "is of the t family, which cannot carry the security group of dict_key's pods"
        raise FormError(rule, "choose one such as m7g.large")
    if "g" not in parts[3]:
        rule = "is not arm64 (a g follows the generation), which images and nodes' system are built for"
        raise FormError(rule, "choose one such as m7g.large")
    return text


def zone_of(region_name: str) -> Callable[[str], str]:
    """A zone of the region."""
    return _form(
        re.escape(region_name) + "[a-z]",
        f"is not a zone of {region_name}",
        f"write names such as {region_name}a",
    )


def network(text: str) -> Network:
    """An IPv4 range, written as AWS writes it."""
    try:
        exact = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise FormError("is not an IPv4 range", "write one such as 10.0.0.0/16") from None
    if not isinstance(exact, Network):
        raise FormError("is IPv6, which this environment does not have", "write IPv4 ranges only")
    if text != str(exact):
        raise FormError("must be a range without host bits, with the length of its prefix", f"write {exact}")
    return exact


def vpc_range(text: str) -> Network:
    """The range of a VPC that is made here."""
    exact = _private(text)
    if not 16 <= exact.prefixlen <= 18:
        raise FormError("must be a /16, /17 or /18, so that three zones of subnets fit", "write a /16")
    return exact


def given_vpc_range(text: str) -> Network:
    """The range of a VPC that there already is."""
    exact = _private(text)
    if not 16 <= exact.prefixlen <= 24:
        raise FormError("must be the VPC's range, a /16 to a /24", "write the VPC's own CIDR")
    return exact


def open_or_public(text: str) -> Network:
    """A range of the internet, or all of it."""
    exact = network(text)
    return exact if exact == ANYWHERE else _public(exact)


def allow_listed(text: str) -> Network:
    """A range of the internet that is narrow enough to be someone's own."""
    exact = network(text)
    if exact.prefixlen < ALLOW_LIST_PREFIX:
        rule = f"is wider than a /{ALLOW_LIST_PREFIX}: an allow-list names Bacen, not the internet"
        raise FormError(rule, "write the ranges that Bacen has told you")
    return _public(exact)


def public_address(text: str) -> str:
    """One IPv4 address of the internet."""
    if "/" in text:
        raise FormError("is not a single address", "write the NAT gateway's public address, without a prefix")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise FormError("is not an IPv4 address", "write the NAT gateway's public address") from None
    if address.version == 6:
        raise FormError("is IPv6, which this environment does not have", "write the IPv4 address")
    _public(Network(address))
    return text


def subnet(text: str) -> tuple[str, Network]:
    """A subnet by id and range."""
    subnet_id, _, cidr = text.partition("=")
    if not re.fullmatch(r"subnet-([0-9a-f]{8}|[0-9a-f]{17})", subnet_id):
        raise FormError("is not SUBNET_ID=CIDR", "write one such as subnet-0a1b2c3d=10.0.0.0/24")
    return subnet_id, network(cidr)


def image(text: str) -> tuple[str, str]:
    """A service and its image by digest, of any registry, with or without a tag."""
    service, _, reference = text.partition("=")
    path = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
    host = r"[a-z0-9]+([.-][a-z0-9]+)*(:[0-9]{1,5})?"
    if not re.fullmatch(rf"{host}(/{path})+(:[\w.-]{{1,128}})?@sha256:[0-9a-f]{{64}}", reference, re.ASCII):
        mend = "write SERVICE=REGISTRY/NAME@sha256:DIGEST, the digest in 64 hexadecimal characters"
        raise FormError("is not a service and its image by digest", mend)
    return service, reference


def _private(text: str) -> Network:
    exact = network(text)
    if not any(exact.subnet_of(private) for private in PRIVATE):
        raise FormError(
            "is not a private range (RFC 1918)", "write one within 10.0.0.0/8, such as 10.0.0.0/16"
        )
    return exact


def _public(exact: Network) -> Network:
    if any(exact.overlaps(example) for example in DOCUMENTATION):
        raise FormError("is of a range for documentation (RFC 5737)", "write the real one")
    if any(exact.overlaps(reserved) for reserved in RESERVED):
        raise FormError("is not of the internet", "write public addresses")
    return exact
