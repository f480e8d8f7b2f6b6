"""A repository for each service, and images of `main` that nothing takes away."""

import json
from itertools import pairwise
from typing import Any

import pulumi
import pytest

from apps.catalog import CATALOG
from ecr import BRANCH_DAYS, Repositories, RepositoriesArgs, lifecycle_policy
from environments.graph.evaluation import Graph, evaluate
from tests.platform.types_check import complaints

REPOSITORY = "aws:ecr/repository:Repository"
EXPIRY = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
KEY = "arn:aws:kms:sa-east-1:111122223333:key/images"
SERVICES = sorted(service.name for service in CATALOG.services)
RULES: Any = lifecycle_policy()["rules"]


def graph(*, disposable: bool = False, protect: bool = False, preview: bool = False) -> Graph:
    def program() -> None:
        made = Repositories("images", RepositoriesArgs(CATALOG, "dev", KEY, disposable, protect))
        pulumi.export("urls", made.urls)

    return evaluate(program, preview=preview)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_every_service_has_a_repository_of_its_own(preview: bool) -> None:
    made = graph(preview=preview)
    assert sorted(node.inputs["name"] for node in made.of_type(REPOSITORY)) == [
        f"dev-{name}" for name in SERVICES
    ]
    assert len(made.of_type(EXPIRY)) == len(SERVICES)
    assert [said for node in made for said in complaints(node)] == []
    assert made.outside_components() == []
    assert sorted(made.outputs["urls"]) == SERVICES


def test_images_are_encrypted_with_our_key_scanned_and_never_replaced_under_their_tag() -> None:
    for node in graph().of_type(REPOSITORY):
        assert node.inputs["encryptionConfigurations"] == [{"encryptionType": "KMS", "kmsKey": KEY}]
        assert node.inputs["imageTagMutability"] == "IMMUTABLE"
        assert node.inputs["imageScanningConfiguration"] == {"scanOnPush": True}


def test_the_urls_are_those_of_the_services_repositories() -> None:
    urls = graph().outputs["urls"]
    assert urls["relay_outbox"] == "111122223333.dkr.ecr.sa-east-1.amazonaws.com/dev-relay_outbox"


@pytest.mark.parametrize("disposable", [False, True])
@pytest.mark.parametrize("protect", [False, True])
def test_a_repository_goes_with_its_images_only_where_it_may(disposable: bool, protect: bool) -> None:
    for node in graph(disposable=disposable, protect=protect).of_type(REPOSITORY):
        assert node.inputs["forceDelete"] is disposable
        assert node.protect is protect


def test_no_rule_reaches_an_image_of_main() -> None:
    for rule in RULES:
        selection = rule["selection"]
        if selection["tagStatus"] == "untagged":
            continue
        assert selection["tagStatus"] == "tagged", "`any` is main, too"
        assert selection["tagPrefixList"], "without a prefix it is any"
        assert "tagPatternList" not in selection
        for prefix in selection["tagPrefixList"]:
            assert not "main-".startswith(prefix)
            assert not prefix.startswith("main-")


def test_images_expire_by_age_alone() -> None:
    assert {rule["selection"]["countType"] for rule in RULES} == {"sinceImagePushed"}
    days = {str(rule["selection"].get("tagPrefixList")): rule["selection"]["countNumber"] for rule in RULES}
    assert days == {"None": 7, "['pr-']": BRANCH_DAYS}


def test_the_policy_is_one_that_ecr_takes() -> None:
    priorities = [rule["rulePriority"] for rule in RULES]
    assert all(before < after for before, after in pairwise(priorities))
    assert [rule["selection"]["tagStatus"] for rule in RULES].count("untagged") == 1
    for node in graph().of_type(EXPIRY):
        assert json.loads(node.inputs["policy"]) == lifecycle_policy()
        assert len(node.inputs["policy"]) < 30_720
