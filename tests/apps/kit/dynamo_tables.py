"""Tables in memory as DynamoDB keeps them: items by key, sparse indexes, and what may not be stored."""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from apps.catalog import Index, Table
from tests.apps.kit.dynamo_conditions import Invalid, Item, Value

Key = tuple[str, str]
"""Partition key and sort key."""

PARTITION_KEY_BYTES = 2048
SORT_KEY_BYTES = 1024
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,38}")
_SCALARS = {"BOOL", "NULL"}


class EmptyIndexKey(Invalid):
    """The whole request is refused, even if only one action of a transaction does it."""


def stored(value: Value) -> dict[str, Any]:
    """A copy of the value as DynamoDB would keep it. Raises `Invalid`."""
    if len(value) != 1:
        raise Invalid("Supplied AttributeValue must contain exactly one of the supported datatypes")
    ((kind, content),) = value.items()
    if kind == "S":
        return {"S": content}
    if kind in _SCALARS:
        return {kind: content}
    if kind == "N":
        assert "." not in content, "the fake knows whole numbers only"
        if not _WHOLE_NUMBER.fullmatch(content):
            raise Invalid(f"The parameter cannot be converted to a numeric value: {content}")
        return {kind: str(int(content))}
    if kind == "M":
        return {kind: stored_item(content)}
    assert kind == "L", f"the fake does not know values of type {kind}"
    return {kind: [stored(each) for each in content]}


def stored_item(item: Item) -> dict[str, Value]:
    """A copy of the item as DynamoDB would keep it. Raises `Invalid`."""
    return {name: stored(value) for name, value in item.items()}


def copied_item(item: Item) -> dict[str, Value]:
    """A copy of an item that is stored already, so that nothing in it needs to be looked at again."""
    return {name: _copied(value) for name, value in item.items()}


def _copied(value: Value) -> dict[str, Any]:
    if "M" in value:
        return {"M": copied_item(value["M"])}
    if "L" in value:
        return {"L": [_copied(each) for each in value["L"]]}
    return {**value}


@dataclass(frozen=True)
class View:
    """Items to be read in an order. `names` are the key attributes that say where a reader stopped."""

    items: Sequence[Item]
    names: tuple[str, ...]
    order: Callable[[Item], tuple[Any, ...]]

    def read(self, start: Item | None, *, forward: bool) -> list[Item]:
        """The items in the order asked for, those after `start` only. Raises `Invalid`."""
        found = sorted(self.items, key=self.order, reverse=not forward)
        if start is None:
            return found
        if set(start) != set(self.names):
            raise Invalid("The provided starting key is invalid")
        place = self.order(start)
        return [each for each in found if (self.order(each) > place if forward else self.order(each) < place)]

    def stopped_at(self, item: Item) -> dict[str, Value]:
        """The key that lets a reader go on after this item."""
        return {name: item[name] for name in self.names}


class Rows:
    """One table's items. Whoever calls holds the lock, and neither keeps nor changes what it gets."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._items: dict[str, dict[str, Item]] = {}
        self._indexed: dict[str, dict[str, dict[Key, Item]]] = {index.name: {} for index in table.indexes}

    def index(self, name: str) -> Index:
        """The index of that name. Raises `Invalid`."""
        for index in self.table.indexes:
            if index.name == name:
                return index
        raise Invalid(f"The table does not have the specified index: {name}")

    def key_of(self, key: Item) -> Key:
        """The place that a request's `Key` names. Raises `Invalid`."""
        if set(key) != {self.table.partition, self.table.sort} or any("S" not in key[name] for name in key):
            raise Invalid("The provided key element does not match the schema")
        return self._checked(key)

    def place_of(self, item: Item) -> Key:
        """The place of a whole item. Raises `Invalid`."""
        for name in (self.table.partition, self.table.sort):
            if name not in item:
                raise Invalid(
                    f"One or more parameter values were invalid: Missing the key {name} in the item"
                )
            if "S" not in item[name]:
                raise Invalid(f"One or more parameter values were invalid: Type mismatch for key {name}")
        return self._checked(item)

    def _checked(self, source: Item) -> Key:
        partition, sort = source[self.table.partition]["S"], source[self.table.sort]["S"]
        for name, text, limit in (
            (self.table.partition, partition, PARTITION_KEY_BYTES),
            (self.table.sort, sort, SORT_KEY_BYTES),
        ):
            if not text:
                raise Invalid(
                    f"The AttributeValue for a key attribute cannot be an empty string. Key: {name}"
                )
            if len(text.encode()) > limit:
                raise Invalid(f"The size of key {name} has exceeded the limit of {limit} bytes")
        return partition, sort

    def check_index_keys(self, item: Item) -> None:
        """An index takes texts that are not empty, or nothing. Raises `Invalid`."""
        for index in self.table.indexes:
            for name in (index.partition, index.sort):
                if name in item and "S" not in item[name]:
                    raise Invalid(f"Type mismatch for Index Key {name} IndexName: {index.name}")
                if item.get(name) == {"S": ""}:
                    raise EmptyIndexKey(f"An index key cannot be an empty string. IndexName: {index.name}")

    def get(self, key: Key) -> Item | None:
        """The item at a key."""
        return self._items.get(key[0], {}).get(key[1])

    def put(self, key: Key, item: Item | None) -> None:
        """Replaces what is at a key, by nothing if `item` is `None`."""
        before = self.get(key)
        for index in self.table.indexes:
            if before is not None and _in(index, before):
                del self._indexed[index.name][before[index.partition]["S"]][key]
            if item is not None and _in(index, item):
                partition = self._indexed[index.name].setdefault(item[index.partition]["S"], {})
                partition[key] = item
        if item is not None:
            self._items.setdefault(key[0], {})[key[1]] = item
        elif before is not None:
            del self._items[key[0]][key[1]]

    def partition(self, value: str, index: Index | None) -> View:
        """One partition of the table, or of an index."""
        table = self.table
        if index is None:
            names: tuple[str, ...] = (table.sort, table.partition)
            items = list(self._items.get(value, {}).values())
        else:
            names = (index.sort, table.partition, table.sort, index.partition)
            items = list(self._indexed[index.name].get(value, {}).values())
        return View(items, names, lambda item: tuple(item[name]["S"] for name in names))

    def everything(self) -> View:
        """All items in the order of a scan: by a hash, so that nobody can rely on it."""
        names = (self.table.partition, self.table.sort)
        items = [item for partition in self._items.values() for item in partition.values()]

        def order(item: Item) -> tuple[Any, ...]:
            partition, sort = (item[name]["S"] for name in names)
            return zlib.crc32(partition.encode()), partition, sort

        return View(items, names, order)


def _in(index: Index, item: Item) -> bool:
    return index.partition in item and index.sort in item
