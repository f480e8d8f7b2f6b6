"""A pod may do what the catalog says of its service, and only that service's pods may do it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from apps.catalog import CATALOG, Catalog, CatalogError, policy
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from iam import Roles, RolesArgs, role_name, trust, with_role
from names import PREFIX_LIMIT, AwsArns
from tests.platform.types_check import complaints

ACCOUNT = "111122223333"
KAFKA = f"arn:aws:kafka:sa-east-1:{ACCOUNT}:cluster/kafka-0a1b2c3/11111111-2222-3333-4444-555555555555-6"
TABLE_KEY = f"arn:aws:kms:sa-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
SECRET_KEY = f"arn:aws:kms:sa-east-1:{ACCOUNT}:key/66666666-7777-8888-9999-000000000000"
ROLE = "aws:iam/role:Role"
POLICY = "aws:iam/rolePolicy:RolePolicy"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"


def secret_arns(prefix: str) -> dict[str, str]:
    return {
        secret: f"arn:aws:secretsmanager:sa-east-1:{ACCOUNT}:secret:{prefix}-{secret}-AbCdEf"
        for secret in CATALOG.secrets
    }


def expected_arns(prefix: str = "dev") -> AwsArns:
    return AwsArns("sa-east-1", ACCOUNT, prefix, TABLE_KEY, SECRET_KEY, KAFKA, secret_arns(prefix))


def later(value: str) -> pulumi.Output[str]:
    """What another resource would give: unknown in a preview."""
    unknown: Any = pulumi.UNKNOWN
    return pulumi.Output.from_input(unknown if pulumi.runtime.is_dry_run() else value)


def roles(*, catalog: Catalog = CATALOG, prefix: str = "dev", name: str = "roles") -> Roles:
    args = RolesArgs(
        catalog=catalog,
        prefix=prefix,
        region="sa-east-1",
        account_id=later(ACCOUNT),
        cluster_name=later("bank-eks"),
        table_key_arn=later(TABLE_KEY),
        secret_key_arn=later(SECRET_KEY),
        kafka_arn=later(KAFKA),
        secret_arns={secret: later(arn) for secret, arn in secret_arns(prefix).items()},
    )
    made = Roles(name, args)
    pulumi.export("arns", made.arns)
    return made


@pytest.fixture(scope="module")
def dev() -> Graph:
    return evaluate(roles)


SERVICES = [service.name for service in with_role(CATALOG)]


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_every_resource_takes_what_its_sdk_says_and_has_a_component_above_it(preview: bool) -> None:
    graph = evaluate(roles, preview=preview)
    assert {node.name: found for node in graph if (found := complaints(node))} == {}
    assert graph.outside_components() == []
    assert graph.messages == ()
    for type_ in (ROLE, POLICY, ASSOCIATION):
        assert len(graph.of_type(type_)) == len(SERVICES)


def test_in_a_preview_the_documents_are_unknown_and_the_names_are_not() -> None:
    graph = evaluate(roles, preview=True)
    assert {node.inputs["policy"] for node in graph.of_type(POLICY)} == {UNKNOWN}
    assert {node.inputs["assumeRolePolicy"] for node in graph.of_type(ROLE)} == {UNKNOWN}
    assert {node.inputs["namespace"] for node in graph.of_type(ASSOCIATION)} == {"dev"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_may_do_what_the_catalog_says_and_nothing_else(service: str, dev: Graph) -> None:
    permissions = dev.one(POLICY, f"roles-{service.replace('_', '-')}")
    assert json.loads(permissions.inputs["policy"]) == policy(CATALOG, service, expected_arns())
    role = dev.one(ROLE, f"roles-{service.replace('_', '-')}")
    assert role.outputs is not None
    assert permissions.inputs["role"] == role.outputs["name"]
    assert not {"managedPolicyArns", "inlinePolicies"} & role.inputs.keys()


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for item in value:
            yield from texts(item)
    else:
        yield str(value)


def test_no_document_has_a_wildcard(dev: Graph) -> None:
    documents = [node.inputs["policy"] for node in dev.of_type(POLICY)]
    documents += [node.inputs["assumeRolePolicy"] for node in dev.of_type(ROLE)]
    assert len(documents) == 2 * len(SERVICES)
    assert [text for document in documents for text in texts(json.loads(document)) if "*" in text] == []


def test_a_service_has_a_role_exactly_when_it_may_do_something() -> None:
    permitted = {
        service.name
        for service in CATALOG.services
        if policy(CATALOG, service.name, expected_arns())["Statement"]
    }
    assert {service.name for service in with_role(CATALOG)} == permitted
    assert "gateway" not in permitted
    assert "operators" in permitted, "jobs have a role too"


def test_only_pods_of_the_service_in_this_namespace_and_cluster_take_its_role() -> None:
    document = trust("sa-east-1", ACCOUNT, "bank-eks", "pr-fix-1a2b3c", "settle-transfers")
    assert document == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "PodIdentity",
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {
                    "StringEquals": {
                        "aws:SourceAccount": ACCOUNT,
                        "aws:RequestTag/eks-cluster-arn": f"arn:aws:eks:sa-east-1:{ACCOUNT}:cluster/bank-eks",
                        "aws:RequestTag/kubernetes-namespace": "pr-fix-1a2b3c",
                        "aws:RequestTag/kubernetes-service-account": "settle-transfers",
                    }
                },
            }
        ],
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_is_given_to_the_service_account_that_it_trusts(service: str, dev: Graph) -> None:
    workload = service.replace("_", "-")
    role = dev.one(ROLE, f"roles-{workload}")
    assert role.outputs is not None
    assert dev.one(ASSOCIATION, f"roles-{workload}").inputs == {
        "clusterName": "bank-eks",
        "namespace": "dev",
        "serviceAccount": workload,
        "roleArn": role.outputs["arn"],
        "disableSessionTags": False,
    }
    trusted = trust("sa-east-1", ACCOUNT, "bank-eks", "dev", workload)
    assert json.loads(role.inputs["assumeRolePolicy"]) == trusted
    assert dev.outputs["arns"][service] == role.outputs["arn"]


def test_pods_that_wait_for_an_association_start_with_their_permissions(dev: Graph) -> None:
    for association in dev.of_type(ASSOCIATION):
        assert dev.depends(association, dev.one(POLICY, association.name))


def test_the_component_hands_on_every_role_and_association() -> None:
    def program() -> None:
        made = roles()
        assert list(made.arns) == SERVICES
        assert len(made.associations) == len(SERVICES)

    evaluate(program)


def test_names_and_documents_fit_with_the_longest_prefix() -> None:
    prefix = "p" * PREFIX_LIMIT
    graph = evaluate(lambda: roles(prefix=prefix, name=f"{prefix}-roles"))
    for role in graph.of_type(ROLE):
        assert len(role.name + "-0123abc") <= 64
        assert len(role.inputs["assumeRolePolicy"]) <= 2048
    for permissions in graph.of_type(POLICY):
        # Spaces do not count, so this is on the safe side.
        assert len(permissions.inputs["policy"]) <= 10_240


def test_a_roles_name_that_would_be_too_long_is_refused() -> None:
    service = CATALOG.service("account")
    longest = "r" * (64 - len("-account") - len("-0123abc"))
    assert role_name(longest, service) == f"{longest}-account"
    with pytest.raises(ValueError, match="at most 64 characters"):
        role_name(longest + "r", service)


def test_a_secret_without_an_arn_is_refused_before_anything_is_made() -> None:
    catalog = replace(CATALOG, secrets=CATALOG.secrets | {"pix_key"})
    with pytest.raises(CatalogError, match="secrets without an ARN: pix_key"):
        evaluate(lambda: roles(catalog=catalog))
