"""Reads DynamoDB's expressions as far as the bank writes them, with the names and values a request gives.

The same texts come again and again with other values, so each is parsed once and kept with its values left
open; who asks gets a copy with the values of the request in it.

What DynamoDB knows and this does not (document paths, sets, BETWEEN, IN) is an `AssertionError`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from tests.apps.kit.dynamo_conditions import (
    ORDERED,
    Assignment,
    BeginsWith,
    Both,
    Comparison,
    Condition,
    Constant,
    Either,
    Exists,
    IfNotExists,
    Invalid,
    Not,
    Operand,
    Path,
    Term,
    Update,
    Value,
)
from tests.apps.kit.dynamo_tables import stored_item
from tests.apps.kit.dynamo_words import RESERVED

T = TypeVar("T")

_TOKEN = re.compile(r"\s*(:\w+|#\w+|[A-Za-z_]\w*|<>|<=|>=|[=<>(),+-])")
_NOT_FAKED = {"BETWEEN", "IN", "ADD", "DELETE", "contains", "size", "attribute_type", "list_append"}


class Expressions:
    """The expressions of one request, with the names and values that it gives them."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._request = request
        self._names: Mapping[str, str] = request.get("ExpressionAttributeNames", {})
        self._values = stored_item(request.get("ExpressionAttributeValues", {}))
        for kind in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            if request.get(kind) == {}:
                raise Invalid(f"{kind} must not be empty")
        self._unused = {*self._names, *self._values}

    def condition(self, kind: str) -> Condition | None:
        """The condition in the request's parameter `kind`, if it has that."""
        return self._parsed(kind, _Parser.condition)

    def update(self) -> Update:
        """The request's update; an empty one if it has none."""
        return self._parsed("UpdateExpression", _Parser.update) or Update()

    def projection(self) -> tuple[str, ...] | None:
        """The attributes that are asked for; `None` means all."""
        return self._parsed("ProjectionExpression", _Parser.names)

    def check_all_used(self) -> None:
        """To be called once all expressions are parsed."""
        if self._unused:
            raise Invalid(f"names or values unused in expressions: keys: {sorted(self._unused)}")

    def _parsed(self, kind: str, parse: Callable[["_Parser"], T]) -> T | None:
        if kind not in self._request:
            return None
        bind, used = _parsed(
            kind, self._request[kind], tuple(self._names.items()), tuple(self._values), parse
        )
        self._unused -= used
        bound: T = bind(self._values)
        return bound


class _Given:
    """The names that a request gives, and the values as long as they are open; and what of it is used."""

    def __init__(self, names: Mapping[str, str], values: tuple[str, ...]) -> None:
        self._names = names
        self._values = {each: {_OPEN: each} for each in values}
        self.used: set[str] = set()

    def name(self, kind: str, token: str) -> str:
        if token.upper() in RESERVED:
            raise Invalid(f"Invalid {kind}: Attribute name is a reserved keyword: {token}")
        return self._given(kind, token, self._names) if token.startswith("#") else token

    def value(self, kind: str, token: str) -> Value:
        return self._given(kind, token, self._values)

    def _given(self, kind: str, token: str, given: Mapping[str, T]) -> T:
        if token not in given:
            raise Invalid(f"Invalid {kind}: {token} is used in the expression and not defined")
        self.used.add(token)
        return given[token]


_OPEN = "open"
"""Stands where the type of a value stands, as long as only its token is known."""


@lru_cache(maxsize=1_000)
def _parsed(
    kind: str,
    text: str,
    names: tuple[tuple[str, str], ...],
    values: tuple[str, ...],
    parse: Callable[["_Parser"], Any],
) -> tuple["_Bind", frozenset[str]]:
    given = _Given(dict(names), values)
    parser = _Parser(given, kind, text)
    parsed = parse(parser)
    parser.end()
    return _binder(parsed) or (lambda _: parsed), frozenset(given.used)


_Bind = Callable[[Mapping[str, Value]], Any]
"""Gives what was parsed, with each value in its place."""


def _binder(parsed: Any) -> _Bind | None:
    """Made once per text: looking each time for what has values in it would take most of the time. `None`
    where nothing has."""
    if isinstance(parsed, Constant):
        token = parsed.value[_OPEN]
        return lambda values: Constant(values[token])
    if not isinstance(parsed, tuple) and type(parsed) not in _WITH_VALUES:
        return None
    parts = parsed if isinstance(parsed, tuple) else tuple(vars(parsed).values())
    binders = [(part, _binder(part)) for part in parts]
    if all(bind is None for _, bind in binders):
        return None
    if isinstance(parsed, tuple):
        return lambda values: tuple([bind(values) if bind else part for part, bind in binders])
    kind = type(parsed)
    return lambda values: kind(*[bind(values) if bind else part for part, bind in binders])


_WITH_VALUES = {Comparison, BeginsWith, Not, Both, Either, IfNotExists, Assignment, Update}


class _Parser:
    """Recursive descent over the tokens of one expression; OR binds less than AND, AND less than NOT."""

    def __init__(self, given: _Given, kind: str, text: str) -> None:
        self._given = given
        self._kind = kind
        self._tokens = list(self._split(text.strip()))
        self._at = 0
        self._groups: dict[int, int] = {}
        if not self._tokens:
            raise Invalid(f"Invalid {kind}: The expression can not be empty;")

    def _split(self, text: str) -> Iterator[str]:
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                assert text[at] not in ".[", "the fake knows no document paths"
                raise self._syntax_error(text[at:])
            yield match[1]
            at = match.end()

    def _syntax_error(self, token: str) -> Invalid:
        return Invalid(f"Invalid {self._kind}: Syntax error; token: {token}")

    def _peek(self) -> str:
        token = self._tokens[self._at] if self._at < len(self._tokens) else "<EOF>"
        assert token not in _NOT_FAKED, f"the fake does not know {token}"
        return token

    def _take(self, *wanted: str) -> bool:
        """Steps over the next token if it is one of these (keywords in any case)."""
        found = self._peek().upper() in wanted
        self._at += found
        return found

    def _need(self, token: str) -> None:
        if not self._take(token):
            raise self._syntax_error(self._peek())

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise self._syntax_error(self._peek())

    def condition(self) -> Condition:
        left = self._conjunction()
        while self._take("OR"):
            left = Either(left, self._conjunction())
        return left

    def _conjunction(self) -> Condition:
        left = self._negation()
        while self._take("AND"):
            left = Both(left, self._negation())
        return left

    def _negation(self) -> Condition:
        return Not(self._negation()) if self._take("NOT") else self._single()

    def _single(self) -> Condition:
        if self._take("("):
            return self._group()
        function = self._peek()
        if function in {"attribute_exists", "attribute_not_exists"}:
            self._at += 1
            self._need("(")
            path = self._path()
            self._need(")")
            return Exists(path, function == "attribute_exists")
        if function == "begins_with":
            self._at += 1
            self._need("(")
            text = self._operand()
            self._need(",")
            prefix = self._operand()
            self._need(")")
            return BeginsWith(text, prefix)
        left = self._operand()
        mark = self._peek()
        if mark not in {"=", "<>", *ORDERED}:
            raise self._syntax_error(mark)
        self._at += 1
        return Comparison(left, mark, self._operand())

    def _group(self) -> Condition:
        start = self._at
        inner = self.condition()
        if self._groups.get(start + 1) == self._at:
            raise Invalid(f"Invalid {self._kind}: The expression has redundant parentheses;")
        self._need(")")
        self._groups[start] = self._at
        return inner

    def _operand(self) -> Operand:
        token = self._peek()
        if token.startswith(":"):
            self._at += 1
            return Constant(self._given.value(self._kind, token))
        return self._path()

    def _path(self) -> Path:
        token = self._peek()
        if not re.match(r"[#A-Za-z_]", token):
            raise self._syntax_error(token)
        self._at += 1
        return Path(self._given.name(self._kind, token))

    def names(self) -> tuple[str, ...]:
        found = [self._path().name]
        while self._take(","):
            found.append(self._path().name)
        if len(set(found)) < len(found):
            raise Invalid(f"Invalid {self._kind}: Two document paths overlap with each other")
        return tuple(found)

    def update(self) -> Update:
        assignments: list[Assignment] | None = None
        removed: tuple[str, ...] | None = None
        while self._peek() != "<EOF>":
            if assignments is None and self._take("SET"):
                assignments = [self._assignment()]
                while self._take(","):
                    assignments.append(self._assignment())
            elif removed is None and self._take("REMOVE"):
                removed = self.names()
            else:
                raise self._syntax_error(self._peek())
        update = Update(tuple(assignments or ()), removed or ())
        if len(set(update.names)) < len(update.names):
            raise Invalid(f"Invalid {self._kind}: Two document paths overlap with each other")
        return update

    def _assignment(self) -> Assignment:
        name = self._path().name
        self._need("=")
        first = self._term()
        sign = {"+": 1, "-": -1}.get(self._peek(), 0)
        self._at += abs(sign)
        return Assignment(name, first, sign, self._term() if sign else None)

    def _term(self) -> Term:
        if self._peek() != "if_not_exists":
            return self._operand()
        self._at += 1
        self._need("(")
        path = self._path()
        self._need(",")
        otherwise = self._operand()
        self._need(")")
        return IfNotExists(path, otherwise)
