"""XML in and out. What comes in may be anything, so no document type, and an end to size and depth.

The parser is the standard library's expat with every declaration of a document type refused: without one
there are no entities to expand and nothing outside to fetch.
"""

from collections.abc import Sequence
from xml.etree import ElementTree as ET
from xml.parsers import expat
from xml.sax.saxutils import escape

Element = ET.Element
Node = tuple[str, "str | Sequence[Node | Element] | None"]
"""An element to write: its name, and its text or its children. `None` writes nothing at all."""

BYTES_LIMIT = 512 * 1024
DEPTH_LIMIT = 40
_QUOTE = {'"': "&quot;"}


class XmlRefused(Exception):  # noqa: N818
    """What was sent is no XML that may be read. The message names the reason, never the content."""


def parse(document: bytes) -> Element:
    """The root; tags of a namespace are `{namespace}name`. Raises `XmlRefused`."""
    if len(document) > BYTES_LIMIT:
        raise XmlRefused(f"more than {BYTES_LIMIT} bytes")
    builder = ET.TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_LIMIT:
            raise XmlRefused(f"more than {DEPTH_LIMIT} elements inside each other")
        builder.start(_named(tag), {_named(name): value for name, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_named(tag))

    def refuse(*_: object) -> int:
        raise XmlRefused("a document type, which may declare entities")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, ValueError) as error:
        raise XmlRefused(f"not well-formed: {type(error).__name__}") from None
    return builder.close()


def local(element: Element) -> str:
    """The name without its namespace."""
    return element.tag.rpartition("}")[2]


def namespace(element: Element) -> str:
    """The namespace; empty without one."""
    return element.tag.removeprefix("{").rpartition("}")[0]


def find(element: Element | None, path: str) -> Element | None:
    """The first element at a path of local names; whatever stands beside it is ignored."""
    for name in path.split("/"):
        if element is None:
            return None
        element = next((child for child in element if local(child) == name), None)
    return element


def text(element: Element | None, path: str) -> str | None:
    """The text at a path, without blanks around it; nothing for an element that is absent or empty."""
    found = find(element, path)
    return (found.text or "").strip() or None if found is not None else None


def tree(node: Node | Element) -> Element:
    """A node as an element."""
    if isinstance(node, Element):
        return node
    name, content = node
    element = Element(name)
    if isinstance(content, str):
        element.text = content
    else:
        element.extend(tree(child) for child in content or () if not _absent(child))
    return element


def written(root: Element) -> bytes:
    """The document."""
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    _write(root, parts)
    return "".join(parts).encode()


def _write(element: Element, parts: list[str]) -> None:
    # `ElementTree.tostring` takes three times as long, most of it for namespaces, which none of these have.
    parts.append(f"<{element.tag}")
    parts += [f' {name}="{escape(value, _QUOTE)}"' for name, value in element.items()]
    if len(element) or element.text:
        parts.append(f">{escape(element.text or '')}")
        for child in element:
            _write(child, parts)
        parts.append(f"</{element.tag}>")
    else:
        parts.append("/>")


def _absent(node: Node | Element) -> bool:
    return not isinstance(node, Element) and node[1] is None


def _named(tag: str) -> str:
    return "{" + tag if "}" in tag else tag
