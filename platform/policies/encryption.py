"""What is kept is encrypted with keys of ours, which change."""

from collections.abc import Iterator, Sequence

from policies.graph import UNKNOWN, Facts, Resource, Violation, at, of, violation, without

KEYS: dict[str, tuple[str, ...]] = {
    "aws:cloudwatch/logGroup:LogGroup": ("kmsKeyId",),
    "aws:dynamodb/table:Table": ("serverSideEncryption", "kmsKeyArn"),
    "aws:msk/cluster:Cluster": ("encryptionInfo", "encryptionAtRestKmsKeyArn"),
    "aws:secretsmanager/secret:Secret": ("kmsKeyId",),
    "aws:sns/topic:Topic": ("kmsMasterKeyId",),
    "aws:eks/cluster:Cluster": ("encryptionConfig", "provider", "keyArn"),
    "eks:index:Cluster": ("encryptionConfigKeyArn",),
}
"""Where each kind says which key is its own."""
KEY = "aws:kms/key:Key"
REPOSITORY = "aws:ecr/repository:Repository"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
VOLUME = "aws:ebs/volume:Volume"
BUCKET = "aws:s3/bucket:Bucket"
BUCKET_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"


def at_rest(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Tables, brokers, logs, secrets, topics, the cluster and images name a key of ours.

    Buckets are not here: the load balancer writes its log only with Amazon's own (see `buckets`).
    """
    for resource in of(resources, *KEYS):
        if not _ours(resource.at(*KEYS[resource.type])):
            yield violation(resource, f"has no key of ours at {'.'.join(KEYS[resource.type])}")
    for repository in of(resources, REPOSITORY):
        known = repository.at("encryptionConfigurations") is not UNKNOWN
        keys = [at(each, "kmsKey") for each in repository.each("encryptionConfigurations")]
        if known and not any(map(_ours, keys)):
            yield violation(repository, "its images have no key of ours")


def disks(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Every disk of a node is encrypted with a key of ours."""
    for template in of(resources, TEMPLATE):
        mappings = template.each("blockDeviceMappings")
        if not mappings and template.at("blockDeviceMappings") is not UNKNOWN:
            yield violation(template, "leaves its disks to the image, which may not encrypt them")
        for disk in mappings:
            # AWS takes "true" as a text here.
            encrypted = str(at(disk, "ebs", "encrypted")).lower() == "true"
            if not (encrypted and _ours(at(disk, "ebs", "kmsKeyId"))):
                yield violation(template, "a disk is not encrypted with a key of ours")
    for volume in of(resources, VOLUME):
        if volume.at("encrypted") is not True or not _ours(volume.at("kmsKeyId")):
            yield violation(volume, "is not encrypted with a key of ours")


def buckets(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Every bucket says how it is encrypted."""
    for bucket in without(resources, BUCKET, BUCKET_ENCRYPTION):
        yield violation(bucket, "does not say how it is encrypted")


def rotation(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Keys change by themselves every year."""
    for key in of(resources, KEY):
        if key.at("enableKeyRotation") not in (True, UNKNOWN):
            yield violation(key, "does not rotate")


def _ours(key: object) -> bool:
    """An ARN or id of a key; Amazon's own are known by their aliases."""
    return key is UNKNOWN or (isinstance(key, str) and bool(key) and "alias/aws/" not in key)
