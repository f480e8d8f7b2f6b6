"""The page for people shows whatever a description says as text, and loads nothing from anywhere."""

from html.parser import HTMLParser

from apps.gateway import docs
from apps.gateway.openapi import merged
from apps.gateway.routes import ROUTES
from tests.apps.gateway.descriptions import of_services

EVIL = '"><script src=//evil.example/x.js></script><img src=x onerror=alert(1)>'
HOSTILE = {
    "info": {"title": EVIL, "description": EVIL},
    "paths": {
        f"/{EVIL}": {
            "get": {
                "description": EVIL,
                "parameters": [{"name": EVIL, "in": EVIL, "schema": {"pattern": EVIL}}],
                "requestBody": {"content": {EVIL: {"schema": {"$ref": f"#/components/schemas/{EVIL}"}}}},
                "responses": {
                    EVIL: {"description": EVIL, "content": {"a": {"schema": {"enum": [EVIL]}}}},
                    "200": {"description": ""},
                },
            }
        }
    },
    "components": {"schemas": {EVIL: {"description": EVIL}}},
}


class Read(HTMLParser):
    """What a browser makes of a page: its elements, their attributes and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_nothing_that_a_description_says_becomes_an_element() -> None:
    read = Read(docs.page(HOSTILE))
    assert read.tags <= {
        *("html", "meta", "title", "style", "h1", "h2", "p", "a", "details", "summary", "code"),
        *("pre", "span", "table", "tr", "th", "td"),
    }
    assert {name for name, _ in read.attributes} <= {
        "lang",
        "charset",
        "name",
        "content",
        "href",
        "id",
        "class",
    }
    assert read.text.count("<script src=//evil.example/x.js>") >= 8


def test_the_page_loads_and_leads_to_nothing_outside() -> None:
    page = docs.page(merged(of_services()))
    read = Read(page)
    assert not read.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    led_to = {value for name, value in read.attributes if name == "href"}
    assert "/openapi.json" in led_to
    assert all(each == "/openapi.json" or each.startswith("#") for each in led_to)
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert style
    assert "url(" not in style
    assert "@import" not in style


def test_every_operation_and_schema_is_on_the_page_and_links_lead_to_schemas() -> None:
    public = merged(of_services())
    read = Read(docs.page(public))
    for route in ROUTES:
        assert f"{route.method}{route.template}" in read.text
    ids = {value for name, value in read.attributes if name == "id"}
    assert ids == set(public["components"]["schemas"])
    linked = {value[1:] for name, value in read.attributes if name == "href" and value.startswith("#")}
    assert linked <= ids
