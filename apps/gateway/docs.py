"""A page that shows the API to people, made from its OpenAPI document. It loads nothing from anywhere."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
details { border: 1px solid #8885; border-radius: 6px; margin: .5rem 0; padding: .5rem 1rem }
summary { cursor: pointer; font-weight: 600 } code, pre { font: 14px/1.45 ui-monospace, monospace }
pre { overflow: auto; background: #8881; padding: .75rem; border-radius: 6px }
.method { display: inline-block; min-width: 4rem } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-top: 1px solid #8883 }
"""


def page(document: Mapping[str, Any]) -> str:
    """The whole page as HTML."""
    info = document["info"]
    return "".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>",
            f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>",
            '<p><a href="/openapi.json">openapi.json</a></p><h2>Operations</h2>',
            *_operations(document),
            "<h2>Schemas</h2>",
            *(
                f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_json(schema)}'
                "</details>"
                for name, schema in sorted(document["components"]["schemas"].items())
            ),
            "</html>",
        ]
    )


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield (
                f'<details><summary><code><span class="method">{method.upper()}</span>{escape(path)}</code> '
                f"</summary><p>{escape(operation.get('description', ''))}</p>"
            )
            yield from _parameters(operation)
            yield from _body(operation)
            yield from _answers(operation)
            yield "</details>"


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    if operation.get("parameters"):
        yield "<table><tr><th>parameter<th>in<th>required<th>schema</tr>"
        for each in operation["parameters"]:
            required = "yes" if each.get("required") else "no"
            yield f"<tr><td><code>{escape(each['name'])}</code><td>{escape(each['in'])}<td>{required}"
            yield f"<td><code>{escape(json.dumps(each['schema']))}</code></tr>"
        yield "</table>"


def _body(operation: Mapping[str, Any]) -> Iterator[str]:
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body, <code>{escape(kind)}</code>: {_reference(content.get('schema', {}))}</p>"


def _answers(operation: Mapping[str, Any]) -> Iterator[str]:
    yield "<table><tr><th>answer<th>meaning<th>body</tr>"
    for status, answer in operation["responses"].items():
        bodies = [_reference(content.get("schema", {})) for content in answer.get("content", {}).values()]
        yield f"<tr><td>{escape(status)}<td>{escape(answer['description'])}<td>{' '.join(bodies)}</tr>"
    yield "</table>"


def _reference(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}"><code>{name}</code></a>'
    return f"<code>{escape(json.dumps(schema))}</code>"


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
