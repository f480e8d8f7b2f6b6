"""Where the images of the services are kept: one repository per service.

One each, because lifecycle rules, scan findings and the right to pull are a repository's, and a digest then
says by its repository which service it is. Tags are immutable and begin with `main-` (what may reach prod) or
`pr-` (what a branch tries out).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from apps.catalog import Catalog
from names import physical

UNTAGGED_DAYS = 7
BRANCH_DAYS = 30
"""Longer than any preview lives: what one of them runs never goes away under it."""


@dataclass(frozen=True)
class RepositoriesArgs:
    """One repository for each service of `catalog`. One that is `disposable` goes with its images."""

    catalog: Catalog
    prefix: str
    key_arn: pulumi.Input[str]
    disposable: bool
    protect: bool


class Repositories(pulumi.ComponentResource):
    """Makes a repository for each service, encrypted with our key and scanned on push, and its expiry.

    Costs storage alone, 0.10 USD per GB and month; images under `main-` stay until somebody deletes them.
    AWS refuses to delete a repository with images unless it is `disposable`.
    """

    urls: dict[str, pulumi.Output[str]]
    """By the service's name in the catalog."""

    def __init__(self, name: str, args: RepositoriesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Repositories", name, {}, opts)
        self.urls = {
            service.name: self._repository(name, service.name, args) for service in args.catalog.services
        }
        self.register_outputs({"urls": self.urls})

    def _repository(self, name: str, service: str, args: RepositoriesArgs) -> pulumi.Output[str]:
        repository = aws.ecr.Repository(
            f"{name}-{service}",
            name=physical(args.prefix, service),
            image_tag_mutability="IMMUTABLE",
            encryption_configurations=[
                aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=args.key_arn)
            ],
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            force_delete=args.disposable,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.ecr.LifecyclePolicy(
            f"{name}-{service}-expiry",
            repository=repository.name,
            policy=json.dumps(lifecycle_policy()),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return repository.repository_url


def lifecycle_policy() -> Mapping[str, object]:
    """What expires: images without a tag, and those of branches, both by age.

    No rule counts: a count would take the image of a preview that runs while many others are pushed. No rule
    reaches `main-`. ECR deletes whole images, so one that had a tag of each kind would go with the branch's;
    `images` therefore writes the tag into the image, and no digest ever has two.
    """
    return {
        "rules": [
            _rule(1, "Layers that no tag names any more", {"tagStatus": "untagged"}, UNTAGGED_DAYS),
            _rule(2, "Images of branches", {"tagStatus": "tagged", "tagPrefixList": ["pr-"]}, BRANCH_DAYS),
        ]
    }


def _rule(priority: int, description: str, selected: Mapping[str, object], days: int) -> Mapping[str, object]:
    return {
        "rulePriority": priority,
        "description": description,
        "selection": {
            **selected,
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": days,
        },
        "action": {"type": "expire"},
    }
