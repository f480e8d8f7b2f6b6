"""XML from outside: read as far as it is harmless, refused where it is not."""

import pytest

from apps.simulators.bacen.markup import (
    DEPTH_LIMIT,
    Element,
    XmlRefused,
    find,
    namespace,
    parse,
    text,
    tree,
    written,
)

BOMB = b'<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]><a>&y;</a>'


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        pytest.param(BOMB, "document type", id="entities that grow"),
        pytest.param(
            b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>',
            "document type",
            id="a document type elsewhere",
        ),
        pytest.param(
            b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>', "document type", id="a file"
        ),
        pytest.param(b"<a>&undeclared;</a>", "not well-formed", id="an entity that nobody declared"),
        pytest.param(b"<a>" * (DEPTH_LIMIT + 1), "inside each other", id="too deep"),
        pytest.param(b"<a>" + b" " * 600_000 + b"</a>", "bytes", id="too long"),
        pytest.param(b"<a><b></a>", "not well-formed", id="crossed"),
        pytest.param(b"", "not well-formed", id="nothing"),
        pytest.param(b"{}", "not well-formed", id="JSON"),
        pytest.param(b"<a>\xff\xfe</a>", "not well-formed", id="no UTF-8"),
        pytest.param(b"<a>\x00</a>", "not well-formed", id="a zero byte"),
    ],
)
def test_what_could_do_harm_is_refused(document: bytes, reason: str) -> None:
    with pytest.raises(XmlRefused, match=reason):
        parse(document)


def test_what_a_reader_does_not_know_does_not_disturb_it() -> None:
    root = parse(b"<A new='1'><New><B>no</B></New><B> yes </B><B>too late</B><!-- c --><?pi?></A>")
    assert text(root, "B") == "yes"
    assert text(root, "C") is None
    assert find(root, "New/B") is not None


def test_names_are_found_in_any_namespace() -> None:
    root = parse(b'<x:A xmlns:x="urn:a" x:k="v"><x:B>text</x:B></x:A>')
    assert (root.tag, namespace(root), root.attrib) == ("{urn:a}A", "urn:a", {"{urn:a}k": "v"})
    assert text(root, "B") == "text"


def test_what_is_written_is_read_again_and_absent_members_are_not_there() -> None:
    root = tree(("A", [("B", "<&>"), ("C", None), ("D", [("E", "ação")]), Element("F", {"k": '"'})]))
    assert written(root).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<A><B>&lt;&amp;&gt;</B><D><E>ação</E></D><F k="&quot;"/></A>'
    )
    assert text(parse(written(root)), "D/E") == "ação"
