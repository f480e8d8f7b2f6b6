"""A stack's configuration read value by value, with every fault noted and none raised before the end.

Pulumi gives all values as text: `2`, `true`, arrays and objects as JSON. `Values` turns them into types; a
value that cannot be read is noted as a `Problem` and stands as an empty one meanwhile, so that the rest is
judged too. What it stands for never leaves: `configuration.read` raises when there is a single problem.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
L = TypeVar("L", bound=str)

PROJECT_FILE = "Pulumi.yaml"
SHOWN = 160
"""How much of a value a message shows."""


class FormError(ValueError):
    """A single value breaks `rule`; `mend` says what to write instead."""

    def __init__(self, rule: str, mend: str) -> None:
        super().__init__(f"{rule}: {mend}")
        self.rule = rule
        self.mend = mend


@dataclass(frozen=True)
class Problem:
    """What is wrong with one key. `value` is None where there is none, or where it may be a secret."""

    key: str
    value: str | None
    file: str
    rule: str
    mend: str

    def __str__(self) -> str:
        value = "" if self.value is None else f" = {_shown(self.value)}"
        return f"{self.key}{value} ({self.file}): {self.rule}; {self.mend}"


class SettingsError(ValueError):
    """The stack's configuration cannot be. Has every problem, each with key, value, file, rule and mend."""

    def __init__(self, stack: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"- {problem}" for problem in self.problems)
        super().__init__(f"stack {_shown(stack)} cannot be as it is configured:\n{lines}")


@dataclass
class Values:
    """The configuration of one stack. Keys are given and named without their namespace, the project."""

    raw: Mapping[str, str]
    project: str
    stack: str
    defaults: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    _unreadable: set[str] = field(default_factory=set)

    @property
    def stack_file(self) -> str:
        """The file that a stack's own values are in."""
        return f"Pulumi.{self.stack}.yaml"

    def readable(self, *keys: str) -> bool:
        """Whether all of `keys` could be read, so that a rule over them has something to judge."""
        return self._unreadable.isdisjoint(keys)

    def at_default(self, key: str) -> bool:
        """Whether the value of `key` is the project's default, however it is written."""
        name = self._name(key)
        return _json(self.raw.get(name)) == _json(self.defaults.get(name))

    def refuse(self, key: str, rule: str, mend: str) -> None:
        """Notes that the value of `key` breaks `rule`."""
        name = self._name(key)
        value = self.raw.get(name)
        default = value is not None and value == self.defaults.get(name)
        if default:
            file, mend = PROJECT_FILE, f"{mend} in {self.stack_file}"
        else:
            file = self.stack_file
        self.problems.append(Problem(name, value, file, rule, mend))

    def require(self, met: bool, key: str, *others: str, rule: str, mend: str) -> None:
        """As `refuse`, unless `met`. Judges nothing while `key` or what else it rests on is unreadable."""
        if not met and self.readable(key, *others):
            self.refuse(key, rule, mend)

    def text(self, key: str, mend: str = "give it a value") -> str:
        """The text of `key`, empty where that is what it says. `mend` is for where there is none."""
        self.asked.add(key)
        value = self.raw.get(self._name(key))
        if value is None:
            self._missing(key, mend)
            return ""
        return value

    def one(self, key: str, parse: Callable[[str], T]) -> T | None:
        """The value of `key` as `parse` makes it; None where it is empty or cannot be read."""
        value = self.text(key)
        return self._parsed(key, value, parse) if value else None

    def required(self, key: str, parse: Callable[[str], T], mend: str) -> T | None:
        """As `one`, but refuses an empty value."""
        value = self.text(key, mend)
        if not value and self.readable(key):
            self._unread(key, "must not be empty", mend)
        return self._parsed(key, value, parse) if value else None

    def choice(self, key: str, options: tuple[L, ...]) -> L:
        """One of `options`, the first where it is none of them."""
        value = self.text(key, f"set it to {_either(options)}")
        if value not in options and self.readable(key):
            near = difflib.get_close_matches(value, options, 1, cutoff=0.5)
            meant = f"did you mean {near[0]}?" if near else "choose one of them"
            self._unread(key, f"must be {_either(options)}", meant)
        return next((option for option in options if option == value), options[0])

    def whole(self, key: str, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        value = self.text(key)
        if not self.readable(key):
            return least
        number = int(value) if re.fullmatch(r"-?[0-9]{1,15}", value) else None
        if number is None or not least <= number <= most:
            self._unread(key, f"must be a whole number from {least} to {most}", "write such a number")
            return least
        return number

    def flag(self, key: str) -> bool:
        """True or false."""
        return self.choice(key, ("false", "true")) == "true"

    def each(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """A list of texts, each as `parse` makes it; without those that cannot be read."""
        items = self._loaded(key)
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            self._unread(key, "must be a list of texts", 'write it as ["first", "second"]')
            return ()
        for item in sorted({item for item in items if items.count(item) > 1}):
            self._unread(key, f"names {_shown(item)} more than once", "name it once")
        parsed = [self._parsed(key, item, parse) for item in dict.fromkeys(items)]
        return tuple(item for item in parsed if item is not None)

    def texts(self, key: str) -> dict[str, str]:
        """An object whose values are texts."""
        items = self._loaded(key)
        if not isinstance(items, dict) or not all(isinstance(item, str) for item in items.values()):
            self._unread(key, "must be an object of texts", 'write it as {name: "value"}')
            return {}
        return {str(name): str(item) for name, item in items.items()}

    def refuse_unknown(self) -> None:
        """Notes every key of the project's that nothing has read so far."""
        for name in sorted(self.raw):
            namespace, _, key = name.partition(":")
            if namespace != self.project or key in self.asked:
                continue
            near = difflib.get_close_matches(key, sorted(self.asked), 1, cutoff=0.5)
            meant = f"did you mean {self._name(near[0])}?" if near else f"{PROJECT_FILE} lists the keys"
            # Without its value: nobody knows what it was meant for, and it may be a secret.
            self.problems.append(Problem(name, None, self.stack_file, "is no key of this project", meant))

    def _missing(self, key: str, mend: str) -> None:
        name = self._name(key)
        self._unreadable.add(key)
        if name in self.defaults:
            # Pulumi fills defaults in before the program starts, so this configuration is not from Pulumi.
            rule = f"has no value, though {PROJECT_FILE} has a default"
            problem = Problem(name, None, PROJECT_FILE, rule, "run the program by Pulumi from this project")
        else:
            problem = Problem(name, None, self.stack_file, "must be set, it has no default", mend)
        self.problems.append(problem)

    def _unread(self, key: str, rule: str, mend: str) -> None:
        if self.raw.get(self._name(key)) is not None:
            self.refuse(key, rule, mend)
        self._unreadable.add(key)

    def _parsed(self, key: str, text: str, parse: Callable[[str], T]) -> T | None:
        try:
            return parse(text)
        except FormError as refusal:
            whole = text == self.raw.get(self._name(key))
            rule = refusal.rule if whole else f"{_shown(text)} {refusal.rule}"
            self._unread(key, rule, refusal.mend)
            return None

    def _loaded(self, key: str) -> object:
        return _json(self.text(key))

    def _name(self, key: str) -> str:
        return key if ":" in key else f"{self.project}:{key}"


def _json(text: str | None) -> object:
    """What `text` says as JSON, itself where it is none."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def _shown(value: str) -> str:
    """`value` on one line, in quotes where it would not be seen otherwise, and not all of a long one."""
    shown = value if value.isprintable() and value.strip() == value != "" else json.dumps(value)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."


def _either(options: tuple[str, ...]) -> str:
    return " or ".join([", ".join(options[:-1]), options[-1]])
