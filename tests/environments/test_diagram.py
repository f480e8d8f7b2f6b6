"""The picture names all there is, covers nothing with anything, and is the same for the same stack."""

import random
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pulumi_aws
import pulumi_kubernetes
import pytest

from apps.catalog import CATALOG, Catalog, Consumption, Service, Topic
from environments.diagram import beside, diagram, inside, plan
from environments.diagram.drawing import (
    CHIP,
    DARK,
    KINDS,
    LIGHT,
    MARGIN,
    SMALL_SIZE,
    TITLE_SIZE,
    TWO_LINES,
    Box,
    Drawing,
    Frame,
    Point,
    text_width,
)
from environments.resources import Resource
from tests.platform.types_check import _resource

SDKS = (pulumi_aws, pulumi_kubernetes)
"""Imported, so that they have said which types they know."""
SVG = "{http://www.w3.org/2000/svg}"


def made(type_: str, *names: str) -> list[Resource]:
    return [Resource(type_, name, f"urn:pulumi:dev::gobanking::{type_}::{name}") for name in names]


def stack(catalog: Catalog = CATALOG) -> list[Resource]:
    return [
        *made(inside.NAT, "a", "b", "c"),
        *made(inside.ENDPOINT, "dynamodb", "s3"),
        *made(beside.RECORD, "alias"),
        *made(beside.FIREWALL, "firewall"),
        *made(beside.POOL, "pool"),
        *made(beside.KEY, "tables", "logs"),
        *made(beside.REPOSITORY, *(service.name for service in catalog.services)),
        *made(beside.CONTAINER_OF_A_SECRET, "dict"),
        *made(beside.ALARM, *(f"alarm-{number}" for number in range(33))),
        *made(beside.TOPIC, "alarms"),
        *made(beside.BUDGET, "budget"),
        *made("aws:dynamodb/table:Table", *(f"tables-{table.name}" for table in catalog.tables)),
        *made(
            "kubernetes:apps/v1:Deployment",
            *(f"bank-{service.name.replace('_', '-')}" for service in catalog.services),
        ),
    ]


def service(name: str, *callers: str, **more: object) -> Service:
    api = Service(
        name, kind="api", port=1, replicas=1, cpu_millis=1, memory_mib=1, callers=frozenset(callers)
    )
    return replace(api, **more)  # type: ignore[arg-type]


def catalog_of(*services: Service, topics: tuple[Topic, ...] = ()) -> Catalog:
    return Catalog(tables=(), topics=topics, services=services)


MANY = catalog_of(
    service("a"),
    *(service(f"b{number}", "a") for number in range(5)),
    *(service(f"c{number}", "a", "b0", "b4") for number in range(3)),
    service("d", "a", "b2", "c0", "c2"),
    *(service(f"w{number}", kind="worker") for number in range(7)),
    *(
        service(
            f"k{number}", kind="worker", consumes=Consumption("t", f"k{number}"), produces=frozenset({"t"})
        )
        for number in range(6)
    ),
    topics=(Topic("t", 3, 24, "t.aside"), Topic("t.aside", 1, 48)),
)
CIRCLE = catalog_of(service("a", "b"), service("b", "a"))
DRAWN: dict[str, Drawing] = {
    "whole": plan(stack(), CATALOG),
    "nothing stands": plan([], CATALOG),
    "one service": plan([], catalog_of(service("alone"))),
    "many": plan([], MANY),
    "a circle": plan([], CIRCLE),
}
every = pytest.mark.parametrize("drawing", DRAWN.values(), ids=DRAWN)


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(svg).iter(f"{SVG}text")]


# --- what is there ----------------------------------------------------------------------------


def test_every_service_table_and_topic_is_named() -> None:
    said = texts(diagram(stack(), CATALOG))
    names = {each.name for each in CATALOG.services} | {each.name for each in CATALOG.tables}
    assert names | {each.name for each in CATALOG.topics} <= set(said)


def test_every_call_of_the_catalog_is_an_arrow() -> None:
    catalog, drawing = CATALOG, DRAWN["whole"]
    boxes = {box.title: box for box in drawing.boxes}
    drawn = {
        (caller.name, callee.name)
        for arrow in drawing.arrows
        if arrow.kind == "compute"
        for caller in catalog.services
        for callee in catalog.services
        if touches(boxes[caller.name], arrow.points[0]) and touches(boxes[callee.name], arrow.points[-1])
    }
    assert drawn == {(caller, callee.name) for callee in catalog.services for caller in callee.callers}


def test_events_go_down_into_a_topic_and_up_out_of_it() -> None:
    drawing = DRAWN["whole"]
    boxes = {box.title: box for box in drawing.boxes}
    ends = {
        (
            next(box.title for box in drawing.boxes if touches(box, arrow.points[0])),
            next(box.title for box in drawing.boxes if touches(box, arrow.points[-1])),
        )
        for arrow in drawing.arrows
        if arrow.kind == "events"
    }
    produced = {(each.name, topic) for each in CATALOG.services for topic in each.produces}
    consumed = {(each.consumes.topic, each.name) for each in CATALOG.services if each.consumes}
    assert ends == produced | consumed | {("transfers", "transfers.dead-letter")}
    assert boxes["transfers"].y > max(boxes[each.name].bottom for each in CATALOG.services)


@pytest.mark.parametrize("name", ["whole", "nothing stands"])
def test_the_cluster_reaches_the_tables(name: str) -> None:
    frames = {frame.title: frame for frame in DRAWN[name].frames}
    cluster = next(frame for title, frame in frames.items() if title.startswith("EKS"))
    [arrow] = [arrow for arrow in DRAWN[name].arrows if arrow.kind == "data"]
    assert on_edge(cluster, arrow.points[0])
    assert on_edge(frames["DynamoDB"], arrow.points[-1])


@pytest.mark.parametrize(
    ("type_", "title"),
    [
        (beside.RECORD, "Route 53"),
        (beside.FIREWALL, "Firewall"),
        (beside.POOL, "Cognito"),
        (beside.KEY, "KMS"),
        (beside.BUDGET, "Budget"),
        (inside.ENDPOINT, "VPC endpoints"),
    ],
)
def test_what_the_stack_has_not_is_not_drawn(type_: str, title: str) -> None:
    without = [each for each in stack() if each.type != type_]
    assert title in texts(diagram(stack(), CATALOG))
    assert title not in texts(diagram(without, CATALOG))


def test_numbers_are_the_stacks() -> None:
    said = texts(diagram(stack(), CATALOG))
    assert {
        "3 fixed addresses",
        "33 alarms",
        "2 keys",
        "1 secret",
        f"{len(CATALOG.services)} image repositories",
    } <= set(said)


# --- where it is ------------------------------------------------------------------------------


def touches(box: Box, point: Point) -> bool:
    x, y = point
    return box.x <= x <= box.right and box.y <= y <= box.bottom


def overlap(a: Box | Frame, b: Box | Frame) -> bool:
    return a.x < b.right and b.x < a.right and a.y < b.bottom and b.y < a.bottom


def holds(a: Frame, b: Box | Frame) -> bool:
    return a.x <= b.x and b.right <= a.right and a.y <= b.y and b.bottom <= a.bottom


@every
def test_no_box_lies_upon_another(drawing: Drawing) -> None:
    assert [(a.title, b.title) for a, b in combinations(drawing.boxes, 2) if overlap(a, b)] == []


@every
def test_a_frame_holds_a_box_or_is_beside_it(drawing: Drawing) -> None:
    for frame in drawing.frames:
        for box in drawing.boxes:
            assert holds(frame, box) or not overlap(frame, box), (frame.title, box.title)
            # The title's own line.
            assert not (holds(frame, box) and box.y < frame.y + 22), (frame.title, box.title)


@every
def test_a_frame_holds_another_or_is_beside_it(drawing: Drawing) -> None:
    for a, b in combinations(drawing.frames, 2):
        assert holds(a, b) or not overlap(a, b), (a.title, b.title)


@every
def test_everything_is_on_the_paper(drawing: Drawing) -> None:
    paper = Frame(0, 0, drawing.width, drawing.height, "", "edge")
    edges: list[Box | Frame] = [*drawing.boxes, *drawing.frames]
    assert all(holds(paper, each) for each in edges)
    for arrow in drawing.arrows:
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in arrow.points)
    assert all(y < drawing.height for (_, y), _ in drawing.legend)


@every
def test_texts_fit_their_boxes(drawing: Drawing) -> None:
    for box in drawing.boxes:
        room = box.width - 2 * MARGIN
        chips = len(box.chips) * (CHIP + 3)
        if box.height >= TWO_LINES:
            assert text_width(box.title, TITLE_SIZE) <= room, box.title
            assert text_width(box.note, SMALL_SIZE) + chips <= room, (box.title, box.note)
        else:
            assert text_width(box.title, TITLE_SIZE) + chips <= room, box.title


def segments(points: Iterable[Point]) -> list[tuple[Point, Point]]:
    return list(pairwise(points))


@every
def test_arrows_go_by_right_angles_from_edge_to_edge(drawing: Drawing) -> None:
    edges: list[Box | Frame] = [*drawing.boxes, *drawing.frames]
    for arrow in drawing.arrows:
        for (ax, ay), (bx, by) in segments(arrow.points):
            assert (ax == bx) != (ay == by), arrow
        for point in (arrow.points[0], arrow.points[-1]):
            assert any(on_edge(each, point) for each in edges), arrow


def on_edge(each: Box | Frame, point: Point) -> bool:
    x, y = point
    level = each.x <= x <= each.right and y in (each.y, each.bottom)
    upright = each.y <= y <= each.bottom and x in (each.x, each.right)
    return level or upright


@every
def test_no_arrow_crosses_a_box(drawing: Drawing) -> None:
    for arrow in drawing.arrows:
        for (ax, ay), (bx, by) in segments(arrow.points):
            for box in drawing.boxes:
                within_x = min(ax, bx) < box.right and max(ax, bx) > box.x
                within_y = min(ay, by) < box.bottom and max(ay, by) > box.y
                assert not (within_x and within_y), (arrow, box.title)


def test_no_two_arrows_run_upon_each_other() -> None:
    runs = [
        (each, number)
        for number, arrow in enumerate(DRAWN["whole"].arrows)
        for each in segments(arrow.points)
    ]
    for ((a, b), first), ((c, d), second) in combinations(runs, 2):
        if first == second:
            continue
        for along, across in ((0, 1), (1, 0)):
            if a[across] == b[across] == c[across] == d[across]:
                assert max(a[along], b[along]) <= min(c[along], d[along]) or max(c[along], d[along]) <= min(
                    a[along], b[along]
                ), (a, b, c, d)


# --- how it is written ------------------------------------------------------------------------


@pytest.mark.parametrize("catalog", [CATALOG, MANY], ids=["whole", "many"])
def test_it_is_well_formed_and_says_what_it_shows(catalog: Catalog) -> None:
    root = ET.fromstring(diagram(stack(), catalog))
    assert root.tag == f"{SVG}svg"
    named = {each.get("id"): each.text for each in root if each.get("id")}
    assert named["title"] == "GO Banking on AWS"
    assert all(service.name in (named["description"] or "") for service in catalog.services)
    assert root.get("aria-labelledby") == "title description"
    ids = {each.get("id") for each in root.iter() if each.get("id")}
    used = {
        match for each in root.iter() for match in re.findall(r"url\(#([^)]+)\)", each.get("marker-end", ""))
    }
    assert used <= ids


def test_a_name_with_marks_of_xml_is_written_as_text() -> None:
    odd = catalog_of(service("a<b&c"))
    assert "a<b&c" in texts(diagram([], odd))


def test_the_order_of_the_resources_does_not_matter() -> None:
    mixed = stack()
    random.Random(7).shuffle(mixed)
    assert diagram(mixed, CATALOG) == diagram(stack(), CATALOG)


def test_another_process_draws_the_same() -> None:
    # Sets have another order there.
    program = (
        "import hashlib; from apps.catalog import CATALOG; from environments.diagram import diagram;"
        "print(hashlib.sha256(diagram([], CATALOG).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


def test_it_has_nothing_to_fetch_and_nothing_to_run() -> None:
    text = diagram(stack(), CATALOG)
    assert "<script" not in text
    assert re.findall(r"(?:href|src)=|url\((?!#)|@import", text) == []
    assert text.count("prefers-color-scheme: dark") == 1


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_it_can_be_read_on_light_and_on_dark(palette: dict[str, str]) -> None:
    for text, ground in (("ink", "box"), ("soft", "box"), ("soft", "paper"), ("ink", "paper")):
        assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    for kind in KINDS:
        assert contrast(palette[kind], palette["band"]) >= 4.5, f"the title of a frame, {kind}"
        assert contrast(palette["paper"], palette[kind]) >= 4.5, f"a letter on {kind}"


def test_the_palettes_name_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()


def test_the_types_that_are_looked_for_exist() -> None:
    named = [
        value
        for module in (inside, beside)
        for value in vars(module).values()
        if isinstance(value, str) and re.match(r"(aws|kubernetes):\S+:", value)
    ]
    assert len(named) >= 12
    assert all(_resource(type_) for type_ in named)
