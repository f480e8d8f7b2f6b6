"""What may not be lost by a slip, and what must go away without a fight."""

from collections.abc import Iterator, Sequence

from policies.graph import UNKNOWN, Facts, Resource, Violation, of, violation

STATEFUL = (
    "aws:cognito/userPool:UserPool",
    "aws:dynamodb/table:Table",
    "aws:ecr/repository:Repository",
    "aws:kms/key:Key",
    "aws:msk/cluster:Cluster",
    "aws:msk/topic:Topic",
    "aws:s3/bucket:Bucket",
    "aws:secretsmanager/secret:Secret",
)
"""What holds something that cannot be made again."""
GUARDS: dict[str, tuple[str, object]] = {
    "aws:cognito/userPool:UserPool": ("deletionProtection", "ACTIVE"),
    "aws:dynamodb/table:Table": ("deletionProtectionEnabled", True),
    "aws:lb/loadBalancer:LoadBalancer": ("enableDeletionProtection", True),
}
"""AWS's own guard against deletion, and its value when it is up."""
LEFT_BEHIND: dict[str, tuple[str, object]] = {
    "aws:ecr/repository:Repository": ("forceDelete", True),
    "aws:s3/bucket:Bucket": ("forceDestroy", True),
    "aws:secretsmanager/secret:Secret": ("recoveryWindowInDays", 0),
}
"""What a preview needs to be gone at once, name and all."""


def protected(resources: Sequence[Resource], facts: Facts) -> Iterator[Violation]:
    """In prod Pulumi refuses to delete what holds state."""
    for each in of(resources, *STATEFUL):
        if facts.kind == "prod" and not each.protect:
            yield violation(each, "is not protected")


def guarded(resources: Sequence[Resource], facts: Facts) -> Iterator[Violation]:
    """In prod AWS refuses it too, whoever asks."""
    for each in of(resources, *GUARDS):
        guard, up = GUARDS[each.type]
        if facts.kind == "prod" and each.at(guard) not in (up, UNKNOWN):
            yield violation(each, f"{guard} is not {up}")


def disposable(resources: Sequence[Resource], facts: Facts) -> Iterator[Violation]:
    """Nothing in a preview resists its end: no protection, no guard, no name that outlives it."""
    if facts.kind != "preview":
        return
    for each in resources:
        if each.protect:
            yield violation(each, "is protected in a preview")
    for each in of(resources, *GUARDS):
        guard, up = GUARDS[each.type]
        if each.at(guard) == up:
            yield violation(each, f"{guard} holds a preview's end up")
    for each in of(resources, *LEFT_BEHIND):
        setting, gone = LEFT_BEHIND[each.type]
        if each.at(setting) not in (gone, UNKNOWN):
            yield violation(each, f"{setting} is not {gone}: it outlives the preview")
