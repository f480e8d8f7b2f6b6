"""The catalog's tables on DynamoDB."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

import names as naming
from apps.catalog import Catalog, Index, Table

RECOVERY_DAYS = 35
"""How far back a table can be restored, to the second: DynamoDB's maximum."""


@dataclass(frozen=True)
class TablesArgs:
    """`key_arn` encrypts all of them."""

    catalog: Catalog
    prefix: str
    key_arn: pulumi.Input[str]
    point_in_time_recovery: bool
    protect: bool


class Tables(pulumi.ComponentResource):
    """Tables on demand; an idle one costs its bytes, about 0.25 USD a GiB a month, double with recovery.

    A key that changes its name is another, empty table; `protect` refuses that, to Pulumi and to AWS.
    DynamoDB adds or removes one index at a time: a catalog that changes two takes two updates.
    """

    names: dict[str, pulumi.Output[str]]
    tables: list[pulumi.Resource]

    def __init__(self, name: str, args: TablesArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Tables", name, {}, opts)
        made = {table.name: self._table(name, table, args) for table in args.catalog.tables}
        self.names = {table: resource.name for table, resource in made.items()}
        self.tables = list(made.values())
        self.register_outputs({"names": self.names})

    def _table(self, name: str, table: Table, args: TablesArgs) -> aws.dynamodb.Table:
        recovery_days = RECOVERY_DAYS if args.point_in_time_recovery else None
        return aws.dynamodb.Table(
            f"{name}-{table.name}",
            name=naming.physical(args.prefix, table.name),
            billing_mode="PAY_PER_REQUEST",
            hash_key=table.partition,
            range_key=table.sort,
            attributes=[aws.dynamodb.TableAttributeArgs(name=key, type="S") for key in key_attributes(table)],
            global_secondary_indexes=[_index(index) for index in table.indexes],
            ttl=aws.dynamodb.TableTtlArgs(attribute_name=table.ttl, enabled=True) if table.ttl else None,
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(
                enabled=True, kms_key_arn=args.key_arn
            ),
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(
                enabled=args.point_in_time_recovery, recovery_period_in_days=recovery_days
            ),
            deletion_protection_enabled=args.protect,
            opts=ResourceOptions(parent=self, protect=args.protect),
        )


def key_attributes(table: Table) -> list[str]:
    """The attributes that are keys somewhere, each once: DynamoDB refuses to hear of any other."""
    indexes = {key for index in table.indexes for key in (index.partition, index.sort)}
    return sorted({table.partition, table.sort} | indexes)


def _index(index: Index) -> aws.dynamodb.TableGlobalSecondaryIndexArgs:
    keys = (("HASH", index.partition), ("RANGE", index.sort))
    return aws.dynamodb.TableGlobalSecondaryIndexArgs(
        name=index.name,
        projection_type="ALL",
        key_schemas=[
            aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name=key, key_type=kind)
            for kind, key in keys
        ],
    )
