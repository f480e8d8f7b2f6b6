"""What an environment may be: every rule red and green, and everything that is wrong said at once."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import settings as types
from apps.catalog import API_SETTINGS, CATALOG, KAFKA_SETTINGS, Catalog
from configuration import TUNABLES, project_defaults, read
from configuration_rules import RETENTION_DAYS
from configuration_values import Problem, SettingsError
from settings import Created, Settings

ROOT = Path(__file__).parents[2]
PROJECT_FILE = (ROOT / "Pulumi.yaml").read_text()
KEYS = {key.partition(":")[2] for key in yaml.safe_load(PROJECT_FILE)["config"]}
DEFAULTS = project_defaults(PROJECT_FILE)
REVISION = "0123abc"
DIGEST = "sha256:" + "0a" * 32
OWN_VPC: dict[str, object] = {
    "vpcId": "vpc-0a1b2c3d",
    "vpcCidr": "10.8.0.0/20",
    "publicSubnets": [f"subnet-0000000{i}=10.8.{i}.0/24" for i in (1, 2, 3)],
    "privateSubnets": [f"subnet-0000000{i}=10.8.{i}.0/24" for i in (4, 5, 6)],
    "isolatedSubnets": [f"subnet-0000000{i}=10.8.{i}.0/24" for i in (7, 8, 9)],
    "natAddresses": ["18.228.0.1"],
}
FILLED: dict[str, object] = {
    "clusterApiCidrs": ["18.228.0.0/24"],
    "adminRoles": ["arn:aws:iam::210987654321:role/platform"],
    "domain": "api.bank.com.br",
    "hostedZoneId": "Z0123456789ABCDEFGHI",
    "dictCidrs": ["200.218.0.0/28"],
    "spiCidrs": ["200.218.0.16/28"],
    "alarmEmail": "platform@bank.com.br",
}
"""What `Pulumi.prod.yaml` leaves to whoever sets prod up."""
BACEN: dict[str, object] = {
    "simulators": False,
    "interfaceEndpoints": True,
    "dictCidrs": ["200.218.0.0/28"],
    "spiCidrs": ["200.218.0.16/28"],
}
PREVIEW: dict[str, object] = {
    "kind": "preview",
    "base": "reference",
    "baseStack": "organization/gobanking/dev",
}


def _images(catalog: Catalog = CATALOG) -> list[str]:
    return [f"{service.name}=ghcr.io/bank/{service.name}@{DIGEST}" for service in catalog.services]


GIVEN: dict[str, object] = {"imageSource": "given", "images": _images()}


def _of_stack(name: str) -> dict[str, str]:
    stated = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    return DEFAULTS | {key: _text(value) for key, value in stated.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read(
    over: Mapping[str, object], *, stack: str = "dev", revision: str = REVISION, catalog: Catalog = CATALOG
) -> Settings:
    """The settings of `stack`, its file being dev's or prod's, with some keys otherwise; None for no key."""
    raw = _of_stack("prod") if stack == "prod" else _of_stack("dev")
    for key, value in over.items():
        name = key if ":" in key else f"gobanking:{key}"
        if value is None:
            raw.pop(name, None)
        else:
            raw[name] = _text(value)
    return read(raw, project="gobanking", stack=stack, revision=revision, catalog=catalog, defaults=DEFAULTS)


def _problems(
    over: Mapping[str, object], *, stack: str = "dev", revision: str = REVISION, catalog: Catalog = CATALOG
) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as refused:
        _read(over, stack=stack, revision=revision, catalog=catalog)
    for problem in refused.value.problems:
        assert f"\n- {problem}" in str(refused.value)
    return refused.value.problems


@dataclass(frozen=True)
class Rule:
    """`bad` breaks it for `key` with a message that has `says`; `good` is its neighbour that does not."""

    key: str
    bad: Mapping[str, object]
    says: str
    good: Mapping[str, object]
    stack: str = "dev"


def _one(key: str, bad: object, says: str, good: object, **more: object) -> Rule:
    return Rule(key, {**more, key: bad}, says, {**more, key: good})


def _prod(key: str, bad: object, says: str, good: object) -> Rule:
    return Rule(key, {**FILLED, key: bad}, says, {**FILLED, key: good}, "prod")


def _own(key: str, bad: object, says: str) -> Rule:
    return Rule(key, {**OWN_VPC, key: bad}, says, OWN_VPC)


def _preview(key: str, bad: object, says: str, good: object) -> Rule:
    return Rule(key, {**PREVIEW, key: bad}, says, {**PREVIEW, key: good}, "pr-feature")


def _bacen(key: str, bad: object, says: str, good: object) -> Rule:
    return Rule(key, {**BACEN, key: bad}, says, {**BACEN, key: good})


RULES = {
    # --- forms ---
    "not a number": _one("nodes", "two", "whole number from 2 to 100", 2),
    "a number that is none in ASCII": _one("nodes", "\u0663", "whole number", 3),
    "a number too small": _one("nodes", 1, "whole number from 2 to 100", 2),
    "a number too large": _one("outboxShards", 65, "from 1 to 64", 64),
    "no shard": _one("outboxShards", 0, "from 1 to 64", 1),
    "audits without rest": _one("auditSeconds", 29, "from 30", 30),
    "a hold without time": _one("holdMinutes", 0, "from 1 to 1440", 1),
    "a debt as a welcome": _one("openingGrantCents", -1, "from 0", 0),
    "one replica": _one("maxReplicas", 1, "from 2 to 100", 2),
    "too many replicas": _one("maxReplicas", 101, "from 2 to 100", 100),
    "a budget of nothing": _one("monthlyBudgetUsd", 0, "from 1", 1),
    "a disk of nothing": _one("kafkaVolumeGib", 0, "from 1", 1),
    "fewer previews than none": _one("previews", -1, "from 0 to 50", 0),
    "a yes": _one("waf", "yes", "must be false or true", True),
    "an unknown kind": _one("kind", "test", "must be dev, prod or preview", "dev"),
    "an unknown base": _one("base", "import", "must be create or reference", "create"),
    "an unknown image source": _one("imageSource", "pull", "must be given or build", "build"),
    "an unknown log level": _one("logLevel", "TRACE", "must be DEBUG, INFO, WARNING or ERROR", "DEBUG"),
    "an unknown second factor": _one("mfa", "SMS", "must be OFF, OPTIONAL or ON", "OFF"),
    "an unknown plan": _one("identityTier", "LITE", "must be ESSENTIALS or PLUS", "PLUS"),
    "unknown flow logs": _one("flowLogs", "NONE", "must be REJECT or ALL", "ALL"),
    "a text for a list": _one("ingressCidrs", "0.0.0.0/0", "must be a list of texts", ["0.0.0.0/0"]),
    "a list of numbers": _one("ingressCidrs", [1], "must be a list of texts", ["1.0.0.0/8"]),
    "an object for a list": _one("ingressCidrs", {}, "must be a list of texts", ["1.0.0.0/8"]),
    "a double": _one("ingressCidrs", ["1.0.0.0/8"] * 2, "1.0.0.0/8 more than once", ["1.0.0.0/8"]),
    "a list for tags": _one("tags", ["team"], "must be an object of texts", {"team": "core"}),
    "a number as a tag": _one("tags", {"team": 1}, "must be an object of texts", {"team": "1"}),
    "a bank without ISPB": _one("ispb", "", "must not be empty", "00000000"),
    "an ISPB of seven digits": _one("ispb", "1234567", "must have eight digits", "01234567"),
    "a region by its city": _one("aws:region", "Sao Paulo", "not the name of a region", "us-east-1"),
    "a region of another partition": _one(
        "aws:region", "us-gov-west-1", "region of the partition aws", "us-west-2"
    ),
    "a region in China": _one("aws:region", "cn-north-1", "region of the partition aws", "ap-south-1"),
    "a patch of Kubernetes": _one("kubernetesVersion", "1.34.1", "is not a version of Kubernetes", "1.34"),
    "a version that YAML cut": _one("kubernetesVersion", "1.3", "is not a version of Kubernetes", "1.35"),
    "Kafka with ZooKeeper": _one("kafkaVersion", "3.9.x", "without ZooKeeper", "4.1.x.kraft"),
    "Kafka of no patch": _one("kafkaVersion", "3.9", "is not a version of Kafka", "3.9.x.kraft"),
    "Express brokers": _one(
        "kafkaType", "express.m7g.large", "must be kafka.t3.small or", "kafka.m7g.2xlarge"
    ),
    "an address without @": _one("alarmEmail", "team", "is not an e-mail address", "team@bank.com.br"),
    # --- nodes ---
    "nodes of the t family": _one("nodeType", "t4g.large", "t family", "m7g.large"),
    "nodes of Intel": _one("nodeType", "m7i.large", "is not arm64", "c7gn.xlarge"),
    "nodes of nothing known": _one("nodeType", "large", "is not an EC2 instance type", "r8gd.medium"),
    "more nodes than may be": Rule(
        "nodes",
        {"nodes": 5, "maxNodes": 4},
        "is more than maxNodes, 4",
        {"nodes": 4, "maxNodes": 4},
    ),
    "administrators by user": _one(
        "adminRoles",
        ["arn:aws:iam::210987654321:user/ana"],
        "is not the ARN of an IAM role",
        ["arn:aws:iam::210987654321:role/aws-reserved/sso.amazonaws.com/Admin_1"],
    ),
    "a cluster reached from private addresses": _one(
        "clusterApiCidrs", ["10.0.0.0/8"], "not of the internet", ["0.0.0.0/0"]
    ),
    "a cluster reached from half of the internet": _one(
        "clusterApiCidrs", ["0.0.0.0/1"], "not of the internet", ["18.0.0.0/8"]
    ),
    # --- brokers ---
    "four brokers": _one("kafkaBrokers", 4, "2 or a multiple of 3", 6),
    # --- the network ---
    "two zones": _one(
        "availabilityZones",
        ["sa-east-1a", "sa-east-1b"],
        "exactly three zones",
        ["sa-east-1a", "sa-east-1b", "sa-east-1d"],
    ),
    "a zone twice": _one(
        "availabilityZones",
        ["sa-east-1a", "sa-east-1a", "sa-east-1b"],
        "names sa-east-1a more than once",
        ["sa-east-1a", "sa-east-1c", "sa-east-1b"],
    ),
    "a zone of another region": _one(
        "availabilityZones",
        ["us-east-1a", "sa-east-1a", "sa-east-1b"],
        "us-east-1a is not a zone of sa-east-1",
        [],
    ),
    "no range": _one("vpcCidr", "", "must not be empty", "10.1.0.0/16"),
    "a range of nothing": _one("vpcCidr", "all", "is not an IPv4 range", "10.1.0.0/16"),
    "a public range": _one("vpcCidr", "11.0.0.0/16", "RFC 1918", "192.168.0.0/16"),
    "shared addresses": _one("vpcCidr", "100.64.0.0/16", "RFC 1918", "172.31.0.0/16"),
    "a range too small": _one("vpcCidr", "10.0.0.0/19", "must be a /16, /17 or /18", "10.0.0.0/18"),
    "a range too large": _one("vpcCidr", "10.0.0.0/15", "must be a /16, /17 or /18", "10.0.0.0/17"),
    "a range with host bits": _one("vpcCidr", "10.0.1.0/16", "write 10.0.0.0/16", "10.0.0.0/16"),
    "an address for a range": _one("ingressCidrs", ["1.2.3.4"], "write 1.2.3.4/32", ["1.2.3.4/32"]),
    "a range by its mask": _one("vpcCidr", "10.0.0.0/255.255.0.0", "write 10.0.0.0/16", "10.0.0.0/16"),
    "the cluster's own range": _one("vpcCidr", "172.20.0.0/16", "overlaps 172.20.0.0/16", "172.21.0.0/16"),
    "IPv6 for the VPC": _one("vpcCidr", "fd00::/48", "IPv6", "10.0.0.0/16"),
    "IPv6 for the world": _one("ingressCidrs", ["0.0.0.0/0", "::/0"], "::/0 is IPv6", ["0.0.0.0/0"]),
    "nobody may come in": _one("ingressCidrs", [], "must not be empty", ["18.0.0.0/8"]),
    # --- a VPC that there is ---
    "a VPC by its name": _own("vpcId", "main", "is not the id of a VPC"),
    "a VPC of one subnet's size": _own("vpcCidr", "10.8.0.0/25", "a /16 to a /24"),
    "two public subnets": _own("publicSubnets", OWN_VPC["publicSubnets"][:2], "has 2"),  # type: ignore[index]
    "no private subnets": _own("privateSubnets", [], "has 0"),
    "a subnet outside the VPC": _own(
        "isolatedSubnets",
        ["subnet-00000007=10.8.7.0/24", "subnet-00000008=10.8.8.0/24", "subnet-00000009=10.9.9.0/24"],
        "subnet-00000009 (10.9.9.0/24) is not inside the VPC's range 10.8.0.0/20",
    ),
    "subnets that overlap": _own(
        "isolatedSubnets",
        ["subnet-00000007=10.8.7.0/24", "subnet-00000008=10.8.8.0/24", "subnet-00000009=10.8.4.0/25"],
        "subnet-00000009 (10.8.4.0/25) is or overlaps subnet-00000004 (10.8.4.0/24)",
    ),
    "a subnet twice": _own(
        "isolatedSubnets",
        ["subnet-00000007=10.8.7.0/24", "subnet-00000008=10.8.8.0/24", "subnet-00000001=10.8.9.0/24"],
        "subnet-00000001 (10.8.9.0/24) is or overlaps subnet-00000001",
    ),
    "a subnet without a range": _own("publicSubnets", ["subnet-00000001"], "is not an IPv4 range"),
    "a subnet by its name": _own("publicSubnets", ["a=10.8.1.0/24"], "is not SUBNET_ID=CIDR"),
    "no way out": _own("natAddresses", [], "Bacen allow-lists them"),
    "a private way out": _own("natAddresses", ["10.8.1.1"], "not of the internet"),
    "a way out for examples": _own("natAddresses", ["203.0.113.1"], "RFC 5737"),
    "a way out by range": _own("natAddresses", ["18.228.0.0/24"], "is not a single address"),
    "a way out by name": _own("natAddresses", ["nat.bank.com.br"], "is not an IPv4 address"),
    "a way out by IPv6": _own("natAddresses", ["2600::1"], "IPv6"),
    "subnets of no VPC": _one("publicSubnets", OWN_VPC["publicSubnets"], "vpcId names none", []),
    "NAT of no VPC": _one("natAddresses", ["18.228.0.1"], "vpcId names none", []),
    # --- the edge ---
    "a domain with a scheme": _one(
        "domain",
        "https://bank.com.br",
        "must be a domain name",
        "bank.com.br",
        hostedZoneId=FILLED["hostedZoneId"],
    ),
    "a domain longer than a certificate's": _one(
        "domain",
        "a" * 54 + ".bank.com.br",
        "at most 64 characters",
        "a" * 52 + ".bank.com.br",
        hostedZoneId=FILLED["hostedZoneId"],
    ),
    "a zone by its path": _one(
        "hostedZoneId", "/hostedzone/Z0123456789", "Route 53 zone", "Z0123456789", domain="bank.com.br"
    ),
    "a domain without its zone": _one(
        "hostedZoneId", "", "need each other", "Z0123456789", domain="bank.com.br"
    ),
    "a zone without a domain": _one(
        "domain", "", "need each other", "bank.com.br", hostedZoneId="Z0123456789"
    ),
    # --- Bacen ---
    "nowhere to ask the DICT": _bacen("dictCidrs", [], "must name Bacen's", ["200.218.0.0/28"]),
    "nowhere to send a Pix": _bacen("spiCidrs", [], "must name Bacen's", ["200.218.0.16/28"]),
    "the DICT is the internet": _bacen("dictCidrs", ["0.0.0.0/0"], "is wider than a /16", ["200.219.0.0/16"]),
    "the DICT is private": _bacen("dictCidrs", ["10.0.0.0/24"], "not of the internet", ["200.219.0.0/24"]),
    "the DICT is an example": _bacen("dictCidrs", ["192.0.2.0/24"], "RFC 5737", ["200.219.0.0/24"]),
    "the SPI is the DICT": _bacen(
        "spiCidrs", ["200.218.0.0/24"], "200.218.0.0/24 overlaps 200.218.0.0/28", ["200.218.1.0/24"]
    ),
    "the DICT overlaps itself": _bacen(
        "dictCidrs",
        ["200.219.0.0/24", "200.219.0.0/28"],
        "200.219.0.0/28 overlaps 200.219.0.0/24",
        ["200.219.0.0/24", "200.219.1.0/28"],
    ),
    "the DICT in the clear": _bacen(
        "dictUrl",
        "http://dict.example/api/v2",
        "is not the address of the DICT's",
        "https://dict.example/api/v2",
    ),
    "the SPI in the clear": _bacen(
        "spiUrl",
        "http://icom.example/api/v1",
        "is not the address of the SPI's",
        "https://icom.example/api/v1",
    ),
    "a bank of no category": _one("dictCategory", "I", "must be", "H"),
    "the DICT without a way to its secret": _bacen("interfaceEndpoints", False, "Secrets Manager", True),
    "the DICT and its simulator": _one("dictCidrs", ["200.218.0.0/28"], "the simulator stands in for it", []),
    "the SPI and its simulator": _one("spiCidrs", ["200.218.0.0/28"], "the simulator stands in for it", []),
    # --- images ---
    "built and given": _one("images", _images(), "says that they are built here", []),
    "an image by its tag": _one(
        "images",
        ["account=ghcr.io/bank/account:1", *_images()[2:], _images()[0]],
        "account=ghcr.io/bank/account:1 is not a service and its image by digest",
        [image.replace("@", ":1@") for image in _images()],
        imageSource="given",
    ),
    "an image of no service": _one(
        "images",
        [*_images(), f"acount=ghcr.io/bank/account@{DIGEST}"],
        "'acount', which is no service; did you mean account?",
        _images(),
        imageSource="given",
    ),
    "two images of a service": _one(
        "images",
        [*_images(), f"account=ghcr.io/bank/other@{DIGEST}"],
        "'account' more than one image",
        _images(),
        imageSource="given",
    ),
    "a service without its image": _one(
        "images",
        _images()[1:],
        f"has no image for {CATALOG.services[0].name}",
        _images(),
        imageSource="given",
    ),
    "no image at all": _one("images", [], "has no image for account,", _images(), imageSource="given"),
    # --- what is told ---
    "a period that CloudWatch lacks": _one("logRetentionDays", 8, "no period that CloudWatch", 14),
    "logs for ever": _one("logRetentionDays", 0, "from 1", 3653),
    "a tag of AWS's": _one("tags", {"AWS:team": "core"}, "no tag that AWS accepts", {"team": "core"}),
    "a tag with a newline": _one("tags", {"team": "a\nb"}, "no tag that AWS accepts", {"team": "a b"}),
    "a tag of ours": _one(
        "tags", {"gobanking:stack": "x"}, "every resource has anyway", {"gobanking:ttl": "x"}
    ),
    "too many tags": _one(
        "tags", {f"t{i}": "" for i in range(41)}, "more than 40", {f"t{i}": "" for i in range(40)}
    ),
    # --- what a stack is ---
    "a prefix that begins with a digit": _one("prefix", "1st", "must begin with a lower case letter", "st1"),
    "a prefix that ends with a dash": _one("prefix", "qa-", "not end with a dash", "qa-1"),
    "a prefix with two dashes": _one("prefix", "qa--1", "single dashes", "qa-1-2"),
    "a prefix too long": _one("prefix", "a" * 26, "at most 25 characters", "a" * 25),
    "a prefix that Kubernetes has": _one("prefix", "kube-system", "reserved by Kubernetes", "kubesystem"),
    "dev on another's base": Rule(
        "base",
        {"base": "reference", "baseStack": "organization/gobanking/qa"},
        "only a preview lives on another stack's base, and kind says dev",
        {"base": "create"},
    ),
    "a base that is not used": _one("baseStack", "organization/gobanking/qa", "makes its own", ""),
    "a preview on no base": _preview("baseStack", "", "must name the stack", "organization/gobanking/dev"),
    "a preview on a base by its short name": _preview(
        "baseStack", "dev", "organization/project/stack", "organization/gobanking/dev"
    ),
    "a preview on itself": _preview(
        "baseStack", "organization/gobanking/pr-feature", "names this stack itself", "acme/bank/pr-feature"
    ),
    "a preview that makes a base": Rule(
        "base", {"kind": "preview"}, "a preview makes no base", PREVIEW, "pr-feature"
    ),
    "a preview with prod's prefix": _preview("prefix", "prod", "must not touch", "pr-prod"),
    "a preview with its base's prefix": Rule(
        "prefix",
        {**PREVIEW, "baseStack": "organization/gobanking/qa", "prefix": "qa"},
        "'qa' is the prefix of an environment",
        {**PREVIEW, "baseStack": "organization/gobanking/qa", "prefix": "qa-1"},
        "pr-feature",
    ),
    "a preview with nodes": _preview("nodes", 3, "belongs to the base", 2),
    "a preview with a domain": _preview("domain", "bank.com.br", "belongs to the base", ""),
    # --- prod ---
    "prod as dev": Rule("kind", {**FILLED, "kind": "dev"}, "called prod", FILLED, "prod"),
    "prod without a domain": Rule(
        "domain",
        {**FILLED, "domain": "", "hostedZoneId": ""},
        "prod speaks TLS only",
        FILLED,
        "prod",
    ),
    "prod without a firewall": _prod("waf", False, "firewall", True),
    "prod without a second factor": _prod("mfa", "OPTIONAL", "second factor", "ON"),
    "prod with one NAT gateway": _prod("natPerZone", False, "outlives a zone", True),
    "prod with an open cluster": _prod("clusterApiCidrs", ["0.0.0.0/0"], "not open to everyone", []),
    "prod that one principal rules": _prod("adminRoles", [], "the one principal", FILLED["adminRoles"]),
    "prod with previews": _prod("previews", 1, "prod's nodes run no preview", 0),
    "prod on small brokers": _prod("kafkaType", "kafka.t3.small", "CPU credits", "kafka.m7g.xlarge"),
    "prod on two brokers": _prod("kafkaBrokers", 2, "three copies", 6),
    "prod with simulators": Rule(
        "simulators",
        {**FILLED, "simulators": True, "dictCidrs": [], "spiCidrs": []},
        "prod never runs a simulator",
        FILLED,
        "prod",
    ),
    "prod with gifts": _prod("openingGrantCents", 1, "prod gives no money away", 0),
    "prod that tells nobody": _prod("alarmEmail", "", "must tell somebody", "a@b.br"),
    "prod open to an example": _prod("ingressCidrs", ["192.0.2.0/25"], "RFC 5737", ["18.0.0.0/8"]),
    "prod on an example's domain": _prod("domain", "example.org", "is a placeholder", "bigexample.org"),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_what_breaks_a_rule_is_refused_with_key_value_rule_and_file(rule: Rule) -> None:
    problems = _problems(rule.bad, stack=rule.stack)
    name = rule.key if ":" in rule.key else f"gobanking:{rule.key}"
    assert {problem.key for problem in problems} == {name}
    assert rule.says in "\n".join(str(problem) for problem in problems)
    stated = rule.bad.get(rule.key)
    value = DEFAULTS[name] if stated is None else _text(stated)
    file = "Pulumi.yaml" if value == DEFAULTS.get(name) else f"Pulumi.{rule.stack}.yaml"
    for problem in problems:
        assert problem.value == value
        assert problem.file == file
        assert problem.mend


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_its_neighbour_is_accepted(rule: Rule) -> None:
    assert _read(rule.good, stack=rule.stack).stack == rule.stack


def test_everything_that_is_wrong_is_said_at_once() -> None:
    problems = _problems(
        {
            "aws:region": None,
            "imageSource": None,
            "nodes": 1,
            "mfa": "on",
            "vpcCidr": "10.0.0.0/8",
            "ingressCidrs": ["::/0", "1.1.1.1/8"],
            "kafkaBrokers": 5,
            "nodeTyp": "m7g.large",
        }
    )
    assert sorted(problem.key.partition(":")[2] for problem in problems) == [
        "imageSource",
        "ingressCidrs",
        "ingressCidrs",
        "kafkaBrokers",
        "mfa",
        "nodeTyp",
        "nodes",
        "region",
        "vpcCidr",
    ]


def test_an_empty_configuration_is_told_every_key_and_where_its_value_belongs() -> None:
    with pytest.raises(SettingsError) as refused:
        read({}, project="gobanking", stack="qa", revision="", catalog=CATALOG, defaults=DEFAULTS)
    files = {problem.key: problem.file for problem in refused.value.problems if problem.value is None}
    mine = {"aws:region", "gobanking:imageSource"}
    assert {key for key, file in files.items() if file == "Pulumi.qa.yaml"} == mine
    assert {key for key, file in files.items() if file == "Pulumi.yaml"} == set(DEFAULTS)
    assert {f"gobanking:{key}" for key in KEYS} == set(DEFAULTS) | mine - {"aws:region"}


def test_a_preview_without_a_key_of_the_base_is_told_that_it_is_missing() -> None:
    (problem,) = _problems({**PREVIEW, "nodes": None}, stack="pr-feature")
    assert (problem.key, problem.file) == ("gobanking:nodes", "Pulumi.yaml")


def test_a_message_reads_as_one_line_with_key_value_file_rule_and_mend() -> None:
    (nodes,) = _problems({"nodes": 1})
    assert str(nodes) == (
        "gobanking:nodes = 1 (Pulumi.dev.yaml): must be a whole number from 2 to 100; write such a number"
    )
    (domain,) = _problems({"hostedZoneId": "Z0123456789"})
    assert str(domain) == (
        'gobanking:domain = "" (Pulumi.yaml): domain and hostedZoneId need each other: the certificate is '
        "proved in that zone; set both or neither in Pulumi.dev.yaml"
    )
    (source,) = _problems({"imageSource": None})
    assert str(source) == (
        "gobanking:imageSource (Pulumi.dev.yaml): must be set, it has no default; set it to given or build"
    )


def test_a_long_value_does_not_drown_the_message() -> None:
    (problem,) = _problems({"domain": "a" * 10_000, "hostedZoneId": "Z0123456789"})
    assert len(str(problem)) < 500
    assert problem.value == "a" * 10_000


def test_an_unknown_key_is_refused_with_the_nearest_one_and_without_its_value() -> None:
    (problem,) = _problems({"dictCidr": "hunter2"})
    assert str(problem) == (
        "gobanking:dictCidr (Pulumi.dev.yaml): is no key of this project; did you mean gobanking:dictCidrs?"
    )
    (strange,) = _problems({"zzzzzzzz": "hunter2"})
    assert "Pulumi.yaml lists the keys" in str(strange)


def test_keys_of_providers_are_none_of_ours() -> None:
    assert _read({"aws:profile": "bank", "kubernetes:enableServerSideApply": "true"}).region == "sa-east-1"


# --- names --------------------------------------------------------------------------------------


def test_the_prefix_is_the_stacks_name_unless_it_is_given() -> None:
    assert _read({}, stack="qa").prefix == "qa"
    assert _read({"prefix": "bank"}, stack="qa").prefix == "bank"


@pytest.mark.parametrize("stack", ["Feature", "pr-a-name-that-is-far-too-long", "a.b", "qa-", "1st"])
def test_a_stacks_name_that_cannot_be_a_prefix_is_named(stack: str) -> None:
    (problem,) = _problems({}, stack=stack)
    assert problem.key == "gobanking:prefix"
    assert f'the stack\'s name "{stack}" is the prefix' in problem.rule
    assert _read({"prefix": "qa"}, stack=stack).prefix == "qa"


@pytest.mark.parametrize("stack", ["dev", "staging"])
def test_a_preview_may_not_be_called_as_what_must_stay(stack: str) -> None:
    over = {**PREVIEW, "baseStack": "organization/gobanking/qa"}
    (problem,) = _problems(over, stack=stack)
    assert problem.key == "gobanking:kind"
    assert f"'{stack}', which no preview may be" in problem.rule


# --- the base -----------------------------------------------------------------------------------


def test_a_preview_may_set_none_of_the_keys_that_cost_money() -> None:
    changed: dict[str, object] = {
        key: "x"
        for key in KEYS
        if key not in {"kind", "base", "baseStack", "prefix", "tags", "imageSource", "images"}
    }
    problems = _problems({**PREVIEW, **changed}, stack="pr-feature")
    refused = {problem.key for problem in problems if "belongs to the base" in problem.rule}
    assert refused == {
        f"gobanking:{key}"
        for key in (
            *("availabilityZones", "vpcCidr", "natPerZone", "interfaceEndpoints", "flowLogs", "vpcId"),
            *("publicSubnets", "privateSubnets", "isolatedSubnets", "natAddresses"),
            *("kubernetesVersion", "nodeType", "nodes", "maxNodes", "clusterApiCidrs", "adminRoles"),
            *("previews", "kafkaVersion", "kafkaType", "kafkaBrokers", "kafkaVolumeGib"),
            *("mfa", "identityTier", "domain", "hostedZoneId", "ingressCidrs", "waf"),
        )
    }


def test_a_default_that_is_written_otherwise_is_no_change() -> None:
    over = {**PREVIEW, "clusterApiCidrs": '[ "0.0.0.0/0" ]'}
    assert _read(over, stack="pr-feature").base == types.Referenced("organization/gobanking/dev")


def test_a_vpc_that_there_is_keeps_its_subnets_in_the_order_of_the_zones() -> None:
    network = _created(_read(OWN_VPC)).network
    assert network.given is not None
    assert network.given.cidr == network.cidr == "10.8.0.0/20"
    assert list(network.given.private.items()) == [
        ("subnet-00000004", "10.8.4.0/24"),
        ("subnet-00000005", "10.8.5.0/24"),
        ("subnet-00000006", "10.8.6.0/24"),
    ]


def test_prod_in_a_vpc_that_there_is_has_the_nat_that_is_there() -> None:
    settings = _read({**FILLED, **OWN_VPC, "natPerZone": False}, stack="prod")
    assert settings.protect


@pytest.mark.parametrize("days", RETENTION_DAYS)
def test_every_period_of_cloudwatch_is_accepted(days: int) -> None:
    assert _read({"logRetentionDays": days}).observability.retention_days == days


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("over", "stack", "revision", "tag"),
    [
        ({}, "dev", "0123abc", "main-0123abc"),
        ({}, "dev", "0123abc-dirty", "main-0123abc-dirty"),
        (PREVIEW, "pr-feature", "f" * 40, "pr-" + "f" * 40),
        (PREVIEW, "pr-feature", "0123abc-dirty", "pr-0123abc-dirty"),
        (FILLED, "prod", "0123abc", "main-0123abc"),
    ],
    ids=["dev", "dev with changes", "preview", "preview with changes", "prod"],
)
def test_built_images_are_tagged_with_the_commit(
    over: Mapping[str, object], stack: str, revision: str, tag: str
) -> None:
    assert _read(over, stack=stack, revision=revision).images == types.BuiltImages(tag)


@pytest.mark.parametrize("revision", ["", "0123ab", "main", "0123ABC", "0123abc-dirty-dirty", "0" * 41])
def test_images_are_not_built_without_a_commit(revision: str) -> None:
    (problem,) = _problems({}, revision=revision)
    assert problem.key == "gobanking:imageSource"
    assert "git checkout" in problem.mend


def test_prod_is_not_built_from_changes_that_no_commit_has() -> None:
    (problem,) = _problems(FILLED, stack="prod", revision="0123abc-dirty")
    assert problem.key == "gobanking:imageSource"
    assert "0123abc-dirty" in problem.rule


def test_images_that_are_given_need_no_commit() -> None:
    images = _read(GIVEN, revision="").images
    assert isinstance(images, types.GivenImages)
    assert set(images.references) == {service.name for service in CATALOG.services}
    assert images.references["account"] == f"ghcr.io/bank/account@{DIGEST}"


def test_simulators_that_are_not_deployed_need_no_image() -> None:
    simulators = {service.name for service in CATALOG.services if service.kind == "simulator"}
    all_given = {"imageSource": "given", "images": _images(CATALOG)}
    bank_given = {
        "imageSource": "given",
        "images": _images(CATALOG.without(lambda service: service.kind == "simulator")),
    }
    for listed in (all_given, bank_given):
        images = _read({**FILLED, **listed}, stack="prod", catalog=CATALOG).images
        assert isinstance(images, types.GivenImages)
        assert simulators.isdisjoint(images.references)
    (problem,) = _problems(bank_given, catalog=CATALOG)
    assert all(name in problem.rule for name in simulators)


# --- the files in the repository ----------------------------------------------------------------


def test_dev_as_committed_is_an_environment_that_is_not_protected() -> None:
    settings = _read({})
    assert (settings.kind, settings.prefix, settings.region) == ("dev", "dev", "sa-east-1")
    assert not settings.protect
    assert _created(settings).network.zones == ("sa-east-1a", "sa-east-1b", "sa-east-1c")


def test_prod_as_committed_is_refused_for_exactly_its_placeholders() -> None:
    problems = _problems({}, stack="prod")
    assert {problem.key for problem in problems} == {f"gobanking:{key}" for key in FILLED}
    assert len(problems) == len(FILLED)
    for problem in problems:
        assert "placeholder" in problem.rule or "RFC 5737" in problem.rule
        assert problem.file == "Pulumi.prod.yaml"


def test_prod_with_its_placeholders_filled_is_complete() -> None:
    settings = _read(FILLED, stack="prod")
    assert settings.protect
    assert settings.egress == {"dict": ("200.218.0.0/28",), "spi": ("200.218.0.16/28",)}
    assert _created(settings).edge.domain == "api.bank.com.br"


# --- every field has a key, every key a field ---------------------------------------------------

LEAVES: dict[str, tuple[Mapping[str, object], Mapping[str, object], str]] = {
    "region": ({}, {"aws:region": "us-east-1"}, "us-east-1"),
    "kind": ({"prefix": "qa"}, {**PREVIEW, "prefix": "qa"}, "preview"),
    "prefix": ({}, {"prefix": "bank"}, "bank"),
    "simulators": ({}, BACEN, "False"),
    "egress": (BACEN, {**BACEN, "dictCidrs": ["200.219.0.0/28"]}, "200.219.0.0/28"),
    "rule_priority": (PREVIEW, {**PREVIEW, "rulePriority": 321}, "321"),
    "max_replicas": ({}, {"maxReplicas": 7}, "7"),
    "tags": ({}, {"tags": {"team": "core"}}, "core"),
    "base.stack": (PREVIEW, {**PREVIEW, "baseStack": "organization/gobanking/uat"}, "uat"),
    "base.network.cidr": ({}, {"vpcCidr": "10.1.0.0/16"}, "10.1.0.0/16"),
    "base.network.zones": ({}, {"availabilityZones": [f"sa-east-1{z}" for z in "abd"]}, "sa-east-1d"),
    "base.network.nat_per_zone": ({}, {"natPerZone": True}, "True"),
    "base.network.interface_endpoints": ({}, {"interfaceEndpoints": True}, "True"),
    "base.network.flow_logs": ({}, {"flowLogs": "ALL"}, "ALL"),
    "base.network.given.vpc_id": (OWN_VPC, {**OWN_VPC, "vpcId": "vpc-00000000"}, "vpc-00000000"),
    "base.network.given.cidr": (OWN_VPC, {**OWN_VPC, "vpcCidr": "10.8.0.0/19"}, "10.8.0.0/19"),
    "base.network.given.public": (
        OWN_VPC,
        {**OWN_VPC, "publicSubnets": [f"subnet-0000001{i}=10.8.{i}.0/24" for i in (1, 2, 3)]},
        "subnet-00000013",
    ),
    "base.network.given.private": (
        OWN_VPC,
        {**OWN_VPC, "privateSubnets": [f"subnet-0000001{i}=10.8.{i}.0/24" for i in (4, 5, 6)]},
        "subnet-00000016",
    ),
    "base.network.given.isolated": (
        OWN_VPC,
        {**OWN_VPC, "isolatedSubnets": [f"subnet-0000001{i}=10.8.{i}.0/24" for i in (7, 8, 9)]},
        "subnet-00000019",
    ),
    "base.network.given.nat_addresses": (
        OWN_VPC,
        {**OWN_VPC, "natAddresses": ["18.228.0.2"]},
        "18.228.0.2",
    ),
    "base.cluster.version": ({}, {"kubernetesVersion": "1.34"}, "1.34"),
    "base.cluster.node_type": ({}, {"nodeType": "c7g.large"}, "c7g.large"),
    "base.cluster.nodes": ({}, {"nodes": 3}, "3"),
    "base.cluster.max_nodes": ({}, {"maxNodes": 7}, "7"),
    "base.cluster.api_cidrs": ({}, {"clusterApiCidrs": ["18.0.0.0/8"]}, "18.0.0.0/8"),
    "base.cluster.admin_roles": ({}, {"adminRoles": FILLED["adminRoles"]}, "role/platform"),
    "base.cluster.previews": ({}, {"previews": 4}, "4"),
    "base.kafka.version": ({}, {"kafkaVersion": "4.1.x.kraft"}, "4.1.x.kraft"),
    "base.kafka.broker_type": ({}, {"kafkaType": "kafka.m7g.large"}, "kafka.m7g.large"),
    "base.kafka.brokers": ({}, {"kafkaBrokers": 3}, "3"),
    "base.kafka.volume_gib": ({}, {"kafkaVolumeGib": 21}, "21"),
    "base.identity.mfa": ({}, {"mfa": "OFF"}, "OFF"),
    "base.identity.tier": ({}, {"identityTier": "PLUS"}, "PLUS"),
    "base.edge.domain": (
        {"hostedZoneId": "Z0123456789", "domain": "a.br"},
        {"hostedZoneId": "Z0123456789", "domain": "b.br"},
        "b.br",
    ),
    "base.edge.zone_id": (
        {"hostedZoneId": "Z0123456789", "domain": "a.br"},
        {"hostedZoneId": "Z9876543210", "domain": "a.br"},
        "Z9876543210",
    ),
    "base.edge.ingress_cidrs": ({}, {"ingressCidrs": ["18.0.0.0/8"]}, "18.0.0.0/8"),
    "base.edge.waf": ({}, {"waf": True}, "True"),
    "images.references": (
        GIVEN,
        {**GIVEN, "images": [image.replace("@", ":1@") for image in _images()]},
        "ghcr.io/bank/account:1@",
    ),
    "images.tag": ({"prefix": "qa"}, {**PREVIEW, "prefix": "qa"}, "pr-"),
    "tunables": ({}, {"ispb": "00000001"}, "00000001"),
    "observability.retention_days": ({}, {"logRetentionDays": 30}, "30"),
    "observability.container_insights": ({}, {"containerInsights": True}, "True"),
    "observability.alarm_email": ({}, {"alarmEmail": "a@b.br"}, "a@b.br"),
    "observability.monthly_budget_usd": ({}, {"monthlyBudgetUsd": 601}, "601"),
}
"""For each field: a configuration, one that differs in the field's keys, and what the field then says."""

PARTS = {
    "base": (types.Created, types.Referenced),
    "network": (types.NetworkSettings,),
    "given": (types.GivenVpc,),
    "cluster": (types.ClusterSettings,),
    "kafka": (types.KafkaSettings,),
    "identity": (types.IdentitySettings,),
    "edge": (types.EdgeSettings,),
    "images": (types.GivenImages, types.BuiltImages),
    "observability": (types.ObservabilitySettings,),
}


def _leaves(kind: Any, path: str = "") -> Iterable[str]:
    for field in fields(kind):
        parts = PARTS.get(field.name, ())
        assert parts or not is_dataclass(field.type), f"PARTS lacks {field.name}"
        for part in parts:
            yield from _leaves(part, f"{path}{field.name}.")
        if not parts:
            yield path + field.name


def _at(settings: Settings, path: str) -> object:
    value: object = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def test_no_field_of_the_settings_is_without_a_key() -> None:
    assert set(_leaves(Settings)) - {"project", "stack"} == set(LEAVES)


@pytest.mark.parametrize("path", LEAVES)
def test_the_key_of_a_field_changes_it(path: str) -> None:
    before, after, says = LEAVES[path]
    changed = _at(_read(after, stack="qa"), path)
    assert says in str(changed)
    assert says not in str(_at(_read(before, stack="qa"), path))


def test_no_key_is_without_a_field() -> None:
    used = {key for _, after, _ in LEAVES.values() for key in after}
    tunables = set(TUNABLES.values())
    assert used | tunables == KEYS | {"aws:region"}


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("ispb", "ispb", "00000001"),
        ("opening_grant_cents", "openingGrantCents", "5"),
        ("hold_minutes", "holdMinutes", "31"),
        ("outbox_shards", "outboxShards", "8"),
        ("audit_seconds", "auditSeconds", "301"),
        ("log_level", "logLevel", "DEBUG"),
        ("dict_category", "dictCategory", "A"),
    ],
)
def test_a_tunable_is_told_to_the_services_by_the_catalogs_name(name: str, key: str, value: str) -> None:
    assert _read({key: value}).tunables == {**_read({}).tunables, name: value}


def test_bacens_addresses_are_told_only_where_no_simulator_stands_in() -> None:
    names = ("dict_url", "spi_url")
    assert [_read({}).tunables[each] for each in names] == ["", ""]
    told = ["https://dict.pi.rsfn.net.br/api/v2", "https://icom.pi.rsfn.net.br/api/v1"]
    assert [_read(BACEN).tunables[each] for each in names] == told


def test_every_setting_of_the_catalog_is_a_tunable_or_decided_elsewhere() -> None:
    elsewhere = {"environment", "aws_region", "public_url", *API_SETTINGS, *KAFKA_SETTINGS}
    assert set(_read({}).tunables) == set(TUNABLES) == CATALOG.settings - elsewhere


def test_everything_is_tagged_with_what_it_belongs_to() -> None:
    assert _read({"tags": {"gobanking:branch": "feature"}}).tags == {
        "gobanking:project": "gobanking",
        "gobanking:stack": "dev",
        "gobanking:kind": "dev",
        "gobanking:managed-by": "pulumi",
        "gobanking:branch": "feature",
    }


# --- nothing but Settings or SettingsError ------------------------------------------------------

SAMPLES = sorted(
    {_text(value) for rule in RULES.values() for value in (*rule.bad.values(), *rule.good.values())}
)
NAMES = st.sampled_from(sorted(KEYS)).map("gobanking:{}".format) | st.sampled_from(["aws:region", "aws:x"])
TEXTS = (
    st.text(max_size=40)
    | st.sampled_from(SAMPLES)
    | st.lists(st.text(max_size=20) | st.integers(), max_size=4).map(json.dumps)
    | st.sampled_from(["[" * 100_000, '["\\ud800"]', "NaN", "9" * 5000, "-0", "null"])
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(
    start=st.sampled_from([{}, _of_stack("dev"), _of_stack("prod")]),
    over=st.dictionaries(NAMES | st.text(max_size=20), TEXTS, max_size=8),
    stack=st.sampled_from(["dev", "prod", "pr-1"]) | st.text(max_size=30),
    revision=st.sampled_from([REVISION, ""]) | st.text(max_size=45),
)
def test_any_configuration_gives_settings_or_says_what_is_wrong(
    start: dict[str, str], over: dict[str, str], stack: str, revision: str
) -> None:
    raw = start | over
    problems = _judged(raw, stack, revision)
    for problem in problems:
        assert problem.rule
        assert problem.mend
        assert problem.value in {None, raw.get(problem.key)}
        assert problem.file in {"Pulumi.yaml", f"Pulumi.{stack}.yaml"}


def _judged(raw: Mapping[str, str], stack: str, revision: str) -> tuple[Problem, ...]:
    try:
        settings = read(
            raw, project="gobanking", stack=stack, revision=revision, catalog=CATALOG, defaults=DEFAULTS
        )
    except SettingsError as refused:
        return refused.problems or pytest.fail("refused without a problem")
    assert settings.stack == stack
    return ()


def _created(settings: Settings) -> Created:
    assert isinstance(settings.base, Created)
    return settings.base
