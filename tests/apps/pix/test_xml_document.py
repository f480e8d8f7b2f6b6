"""XML from outside: what is harmless is read, everything that is made to hurt is refused at once."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.pix import xml_document
from apps.pix.xml_document import BadXml, Element, leaf, parse, render, tree

BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">
<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;">]><a>&e;</a>"""

HOSTILE = {
    "a bomb": BOMB,
    "an external entity": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "an external document type": '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>',
    "a parameter entity": '<!DOCTYPE a [<!ENTITY % x "y">%x;]><a/>',
    "a document type alone": "<!DOCTYPE a><a/>",
    "an entity of nobody": "<a>&b;</a>",
    "too deep": "<a>" * 33 + "</a>" * 33,
    "too many": f"<a>{'<b/>' * 20_000}</a>",
    "not closed": "<a><b></a>",
    "two roots": "<a/><b/>",
    "an attribute twice": '<a b="1" b="2"/>',
    "nothing": "",
    "white space": "  ",
    "no XML": "hello",
    "half": "<a><b>x</b",
    "a null": "<a>\x00</a>",
    "JSON": '{"a": 1}',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_hostile_or_broken_is_refused_before_it_grows(text: str) -> None:
    document = text.encode()
    tracemalloc.start()
    try:
        with pytest.raises(BadXml) as bad:
            parse(document)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100 * len(document) + 100_000, "bytes in use"
    assert "passwd" not in str(bad.value)


def test_a_document_of_ten_megabytes_is_not_even_looked_at() -> None:
    with pytest.raises(BadXml, match="too large"):
        parse(b"<a>" + b"x" * 10_000_000 + b"</a>")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp037"])
def test_another_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(BadXml):
        parse('<?xml version="1.0"?><a>x</a>'.encode(encoding))


def test_a_declared_encoding_does_not_choose_how_bytes_are_read() -> None:
    with pytest.raises(BadXml):
        parse('<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode("latin-1"))


def test_elements_are_found_by_their_path_whatever_stands_beside_them() -> None:
    root = parse(
        b'<x:a xmlns:x="urn:x" new="1"><!-- c --><New><b>no</b></New><x:b> one </x:b>'
        b"<?p i?><b><c><![CDATA[<2>]]></c></b></x:a>"
    )
    assert (root.name, root.namespace, root.attributes) == ("a", "urn:x", {"new": "1"})
    assert root.required("b") == "one"
    assert [each.text for each in root.all("b")] == ["one", ""]
    assert root.optional("New/b") == "no"
    assert root.optional("b/nothing/at/all") is None
    with pytest.raises(BadXml, match="there is no b/d"):
        root.required("b/d")


def test_what_is_personal_does_not_show_in_what_is_printed() -> None:
    assert repr(leaf("Name", "Ana Souza")) == "Element(Name)"


@pytest.mark.parametrize("text", ["\x00", "\x0b", "\ud800", "\uffff"], ids=ascii)
def test_what_xml_cannot_carry_is_not_written(text: str) -> None:
    with pytest.raises(BadXml):
        render(leaf("a", text))


TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20
).map(lambda text: text.strip())
NAMES = st.sampled_from(["a", "b", "Key", "Owner"])
LEAVES = st.builds(leaf, NAMES, TEXTS)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.builds(lambda name, children: tree(name, *children), NAMES, st.lists(inner, max_size=4)),
)


@given(TREES)
def test_what_is_written_is_read_back(root: Element) -> None:
    assert parse(render(root)) == root


def test_a_namespace_is_written_once_and_holds_below() -> None:
    root = Element("a", "", (tree("b", leaf("c", "1 < 2 & 3")),), {"k": '"&<'}, "urn:n")
    text = render(root)
    assert text.count(b"urn:n") == 1
    found = parse(text)
    assert found.attributes == {"k": '"&<'}
    inner = found.find("b/c")
    assert inner == Element("c", "1 < 2 & 3", namespace="urn:n")
    assert len(text) < xml_document.MAX_BYTES
