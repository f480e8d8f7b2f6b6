"""The tables on AWS are the catalog's, with the keys of the local ones."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from apps.catalog import CATALOG, Catalog, Index, Table
from dynamo import Tables, TablesArgs, key_attributes
from environments.graph.evaluation import Graph, evaluate
from environments.local.provision import table_request
from names import PREFIX_LIMIT
from tests.platform.types_check import complaints

KEY = "arn:aws:kms:sa-east-1:111122223333:key/tables"
TABLE = "aws:dynamodb/table:Table"


def tables(
    *, catalog: Catalog = CATALOG, prefix: str = "dev", recovery: bool = True, protect: bool = False
) -> Tables:
    return Tables("tables", TablesArgs(catalog, prefix, KEY, recovery, protect))


@pytest.fixture(scope="module")
def dev() -> Graph:
    return evaluate(tables)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize("recovery", [False, True], ids=["no-backup", "backup"])
def test_every_resource_takes_what_its_sdk_says_and_has_a_component_above_it(
    recovery: bool, preview: bool
) -> None:
    graph = evaluate(lambda: tables(recovery=recovery, protect=True), preview=preview)
    assert {node.name: found for node in graph if (found := complaints(node))} == {}
    assert graph.outside_components() == []
    assert graph.messages == (), "the SDK deprecated something"
    assert len(graph.of_type(TABLE)) == len(CATALOG.tables)


@pytest.mark.parametrize("table", CATALOG.tables, ids=[table.name for table in CATALOG.tables])
def test_a_table_has_the_keys_and_indexes_of_the_local_one(table: Table, dev: Graph) -> None:
    inputs = dev.one(TABLE, f"tables-{table.name}").inputs
    local = table_request(table, f"dev-{table.name}")
    assert inputs["name"] == local["TableName"]
    assert inputs["billingMode"] == local["BillingMode"]
    assert [inputs["hashKey"], inputs["rangeKey"]] == [key["AttributeName"] for key in local["KeySchema"]]
    assert [(item["name"], item["type"]) for item in inputs["attributes"]] == [
        (item["AttributeName"], item["AttributeType"]) for item in local["AttributeDefinitions"]
    ]
    here = [_index(index) for index in inputs.get("globalSecondaryIndexes", [])]
    assert here == local.get("GlobalSecondaryIndexes", [])


def _index(index: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "IndexName": index["name"],
        "KeySchema": [
            {"AttributeName": key["attributeName"], "KeyType": key["keyType"]} for key in index["keySchemas"]
        ],
        "Projection": {"ProjectionType": index["projectionType"]},
    }


def test_key_attributes_are_named_once_each() -> None:
    indexes = (Index("a", "owner", "sk"), Index("b", "owner", "created_at"))
    assert key_attributes(Table("t", indexes=indexes)) == ["created_at", "owner", "pk", "sk"]


def test_items_end_where_the_catalog_says_so(dev: Graph) -> None:
    found = {table.name: dev.one(TABLE, f"tables-{table.name}").inputs.get("ttl") for table in CATALOG.tables}
    assert found == {
        table.name: {"attributeName": table.ttl, "enabled": True} if table.ttl else None
        for table in CATALOG.tables
    }
    assert found["accounts"] is None
    assert found["events"] == {"attributeName": "ttl", "enabled": True}


def test_every_table_is_encrypted_under_the_banks_key(dev: Graph) -> None:
    found = [node.inputs["serverSideEncryption"] for node in dev.of_type(TABLE)]
    assert found == [{"enabled": True, "kmsKeyArn": KEY}] * len(CATALOG.tables)


@pytest.mark.parametrize(
    ("recovery", "expected"),
    [(True, {"enabled": True, "recoveryPeriodInDays": 35}), (False, {"enabled": False})],
    ids=["on", "off"],
)
def test_tables_are_recoverable_where_asked(recovery: bool, expected: dict[str, Any]) -> None:
    graph = evaluate(lambda: tables(recovery=recovery))
    assert [node.inputs["pointInTimeRecovery"] for node in graph.of_type(TABLE)] == [expected] * len(
        CATALOG.tables
    )


@pytest.mark.parametrize("protect", [True, False])
def test_a_protected_table_is_deleted_neither_by_pulumi_nor_by_aws(protect: bool) -> None:
    graph = evaluate(lambda: tables(protect=protect))
    found = {(node.protect, node.inputs["deletionProtectionEnabled"]) for node in graph.of_type(TABLE)}
    assert found == {(protect, protect)}


def test_the_component_hands_on_each_tables_name() -> None:
    def program() -> None:
        made = tables()
        pulumi.export("names", made.names)
        assert len(made.tables) == len(CATALOG.tables)

    for preview in (False, True):  # the names are given, so known before anything exists
        outputs = evaluate(program, preview=preview).outputs
        assert outputs["names"] == {table.name: f"dev-{table.name}" for table in CATALOG.tables}


def test_names_fit_with_the_longest_prefix() -> None:
    graph = evaluate(lambda: tables(prefix="p" * PREFIX_LIMIT))
    assert max(len(node.inputs["name"]) for node in graph.of_type(TABLE)) <= 255


def test_only_the_tables_of_the_catalog_at_hand_are_made() -> None:
    catalog = CATALOG.without(lambda service: service.name in {"dict_key", "refund_lookups", "open_finance"})
    graph = evaluate(lambda: tables(catalog=catalog))
    assert sorted(node.inputs["name"] for node in graph.of_type(TABLE)) == [
        "dev-accounts",
        "dev-events",
        "dev-transactions",
    ]
