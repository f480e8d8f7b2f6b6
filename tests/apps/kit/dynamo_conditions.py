"""What DynamoDB's expressions mean: conditions and updates as trees, evaluated on items.

What DynamoDB refuses is `Refused`. What DynamoDB knows and this does not is an `AssertionError`, so that no
test passes on a guess.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Value = Mapping[str, Any]
"""An attribute value, such as `{"N": "4"}`."""
Item = Mapping[str, Value]

ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""The comparisons that need an order, which numbers and texts have, each among themselves."""


class Refused(Exception):  # noqa: N818
    """DynamoDB's error: its code, its message, and what else the answer carries."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.more = more


class Invalid(Refused):
    """A request that DynamoDB never carries out, whatever the items are."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


@dataclass(frozen=True)
class Path:
    name: str


@dataclass(frozen=True)
class Constant:
    value: Value


Operand = Path | Constant


@dataclass(frozen=True)
class Comparison:
    left: Operand
    mark: str
    right: Operand


@dataclass(frozen=True)
class Exists:
    path: Path
    wanted: bool


@dataclass(frozen=True)
class BeginsWith:
    left: Operand
    right: Operand


@dataclass(frozen=True)
class Not:
    inner: "Condition"


@dataclass(frozen=True)
class Both:
    left: "Condition"
    right: "Condition"


@dataclass(frozen=True)
class Either:
    left: "Condition"
    right: "Condition"


Condition = Comparison | Exists | BeginsWith | Not | Both | Either


@dataclass(frozen=True)
class IfNotExists:
    path: Path
    otherwise: Operand


Term = Path | Constant | IfNotExists


@dataclass(frozen=True)
class Assignment:
    """`name = first`, or `name = first + second` with a `sign` of 1 or -1."""

    name: str
    first: Term
    sign: int
    second: Term | None


@dataclass(frozen=True)
class Update:
    assignments: tuple[Assignment, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every attribute that the update writes."""
        return (*(each.name for each in self.assignments), *self.removed)


def holds(condition: Condition, item: Item) -> bool:
    """Whether the condition is true of an item; an item that is not there has no attributes."""
    match condition:
        case Comparison(left, mark, right):
            return _compared(_value(left, item), mark, _value(right, item))
        case Exists(path, wanted):
            return (path.name in item) == wanted
        case BeginsWith(left, right):
            text, prefix = _value(left, item), _value(right, item)
            return text is not None and prefix is not None and _starts(text, prefix)
        case Not(inner):
            return not holds(inner, item)
        case Both(first, second):
            return holds(first, item) and holds(second, item)
        case Either(first, second):
            return holds(first, item) or holds(second, item)


def names_in(condition: Condition) -> Iterator[str]:
    """Every attribute that the condition looks at."""
    match condition:
        case Comparison(left, _, right) | BeginsWith(left, right):
            yield from (each.name for each in (left, right) if isinstance(each, Path))
        case Exists(path):
            yield path.name
        case Not(inner):
            yield from names_in(inner)
        case Both(first, second) | Either(first, second):
            yield from names_in(first)
            yield from names_in(second)


def key_condition(
    condition: Condition | None, partition: str, sort: str
) -> tuple[str, Comparison | BeginsWith | None]:
    """The partition that a query asks for, and its condition on the sort key. Raises `Invalid`."""
    found: dict[str, Comparison | BeginsWith] = {}
    for part in _conjuncts(condition):
        if not isinstance(part, Comparison | BeginsWith):
            raise Invalid("Invalid operator used in KeyConditionExpression")
        match part.left, part.right:
            case Path(name), Constant() if name in {partition, sort} - set(found):
                found[name] = part
            case _:
                raise Invalid("Query condition missed key schema element, or names it twice")
    asked = found.get(partition)
    if not isinstance(asked, Comparison) or asked.mark != "=" or not isinstance(asked.right, Constant):
        raise Invalid(f"Query condition missed key schema element: {partition}")
    on_sort = found.get(sort)
    if isinstance(on_sort, Comparison) and on_sort.mark == "<>":
        raise Invalid("Unsupported operator on KeyCondition: <>")
    for each in found.values():
        assert isinstance(each.right, Constant)
        if set(each.right.value) != {"S"}:
            raise Invalid("Condition parameter type does not match schema type")
        if each.right.value == {"S": ""}:
            raise Invalid("A key attribute cannot be an empty string")
    return str(asked.right.value["S"]), on_sort


def applied(update: Update, item: Item) -> dict[str, Value]:
    """The item after the update. Every right-hand side reads the item as it was before."""
    after = {name: value for name, value in item.items() if name not in update.removed}
    for each in update.assignments:
        value = _term(each.first, item)
        if each.second is not None:
            total = _integer(value) + each.sign * _integer(_term(each.second, item))
            value = {"N": str(total)}
        after[each.name] = value
    return after


def _conjuncts(condition: Condition | None) -> Iterator[Condition]:
    if isinstance(condition, Both):
        yield from _conjuncts(condition.left)
        yield from _conjuncts(condition.right)
    elif condition is not None:
        yield condition


def _comparable(value: Value) -> tuple[str, Any]:
    """Type and content, so that equal values are equal and numbers are ordered as numbers."""
    ((kind, content),) = value.items()
    return kind, int(content) if kind == "N" else content


def _value(operand: Operand, item: Item) -> Value | None:
    return operand.value if isinstance(operand, Constant) else item.get(operand.name)


def _compared(left: Value | None, mark: str, right: Value | None) -> bool:
    if left is None or right is None:
        return mark == "<>"
    (kind, one), (other_kind, other) = _comparable(left), _comparable(right)
    if mark in ORDERED:
        return kind == other_kind and kind in {"N", "S"} and ORDERED[mark](one, other)
    return ((kind, one) == (other_kind, other)) == (mark == "=")


def _starts(text: Value, prefix: Value) -> bool:
    if "S" not in prefix:
        raise Invalid("Incorrect operand type for operator or function; function: begins_with")
    return "S" in text and str(text["S"]).startswith(prefix["S"])


def _term(term: Term, item: Item) -> Value:
    if isinstance(term, IfNotExists):
        return item[term.path.name] if term.path.name in item else _term(term.otherwise, item)
    value = _value(term, item)
    if value is None:
        raise Invalid("The provided expression refers to an attribute that does not exist in the item")
    return value


def _integer(value: Value) -> int:
    if "N" not in value:
        raise Invalid("An operand in the update expression has an incorrect data type")
    return int(value["N"])
