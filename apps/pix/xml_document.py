"""XML between the bank and Bacen, as a small tree: read without trust, written without surprises.

expat's events build the tree by hand, because the standard library's tree builders declare entities before
anybody can object. A document type is refused as soon as it begins, and with it every entity, bomb and
external reference; size, depth and number of elements end before the memory does. Elements that nobody asks
for are simply not looked at: Bacen adds fields when it likes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

MAX_BYTES = 512 * 1024
MAX_DEPTH = 32
MAX_ELEMENTS = 20_000

_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class BadXml(Exception):  # noqa: N818
    """These bytes are no document of ours. The message never quotes them: they hold personal data."""


@dataclass(frozen=True)
class Element:
    """One element: its local name, its text without outer white space, and its children in order."""

    name: str
    text: str = ""
    children: "tuple[Element, ...]" = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""

    def __repr__(self) -> str:
        return f"Element({self.name})"

    def find(self, path: str) -> "Element | None":
        """The first element at a path of local names, such as `Entry/Account`."""
        found: Element | None = self
        for name in path.split("/"):
            if found is None:
                return None
            found = next((child for child in found.children if child.name == name), None)
        return found

    def all(self, name: str) -> "list[Element]":
        """The children of this name."""
        return [child for child in self.children if child.name == name]

    def optional(self, path: str) -> str | None:
        """The text at a path; `None` where nothing is."""
        found = self.find(path)
        return found.text if found is not None and found.text else None

    def required(self, path: str) -> str:
        """The text at a path. Raises `BadXml` where nothing is."""
        text = self.optional(path)
        if text is None:
            raise BadXml(f"there is no {path}")
        return text


@dataclass
class _Open:
    """An element whose end has not come."""

    name: str
    namespace: str
    attributes: dict[str, str]
    text: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)

    def closed(self) -> Element:
        text = "".join(self.text).strip()
        return Element(self.name, text, tuple(self.children), self.attributes, self.namespace)


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._stack: list[_Open] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._stack) >= MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise BadXml("it is too deep or too large")
        namespace, _, local = name.rpartition(" ")
        self._stack.append(
            _Open(local, namespace, {key.rpartition(" ")[2]: value for key, value in attributes.items()})
        )

    def end(self, _: str) -> None:
        element = self._stack.pop().closed()
        if self._stack:
            self._stack[-1].children.append(element)
        else:
            self.root = element

    def text(self, data: str) -> None:
        self._stack[-1].text.append(data)


def parse(body: bytes) -> Element:
    """The document's root. Raises `BadXml`."""
    if len(body) > MAX_BYTES:
        raise BadXml("it is too large")
    try:
        # expat would follow a byte order mark into another encoding, even against the one named below.
        body.decode()
    except UnicodeDecodeError:
        raise BadXml("it is not UTF-8") from None
    builder = _Builder()
    # Named here, the encoding is not for the document to choose.
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise BadXml("it is not well-formed") from None
    if builder.root is None:
        raise BadXml("it is empty")
    return builder.root


def render(root: Element) -> bytes:
    """The document's bytes, UTF-8. Raises `BadXml` for text that XML cannot carry."""
    parts = ['<?xml version="1.0" encoding="UTF-8"?>']
    _render(root, "", parts)
    return "".join(parts).encode()


def leaf(name: str, text: str) -> Element:
    """An element with text alone."""
    return Element(name, text)


def tree(name: str, *children: Element | None) -> Element:
    """An element with children, those that are there."""
    return Element(name, children=tuple(child for child in children if child is not None))


def optional_leaf(name: str, text: str | None) -> Element | None:
    """An element with text, or none."""
    return None if text is None else leaf(name, text)


def _refuse_doctype(*_: object) -> None:
    raise BadXml("it declares a document type")


def _render(element: Element, namespace: str, parts: list[str]) -> None:
    own = element.namespace or namespace
    attributes = dict(element.attributes) | ({"xmlns": own} if own != namespace else {})
    written = "".join(f" {name}={quoteattr(_writable(value))}" for name, value in attributes.items())
    if not element.text and not element.children:
        parts.append(f"<{element.name}{written}/>")
        return
    parts.append(f"<{element.name}{written}>{escape(_writable(element.text))}")
    for child in element.children:
        _render(child, own, parts)
    parts.append(f"</{element.name}>")


def _writable(text: str) -> str:
    if _UNWRITABLE.search(text):
        raise BadXml("it has a character that XML cannot carry")
    return text
