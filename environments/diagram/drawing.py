"""Boxes, frames and arrows as an SVG: one file, no script, readable on light and on dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

Kind = Literal["edge", "compute", "data", "events", "outside", "watch"]
Point = tuple[float, float]

TITLE_SIZE = 13
SMALL_SIZE = 11
CHIP = 15
TWO_LINES = 40
"""A box as high has room for them."""
MARGIN = 9
"""Between a box's edge and its text."""


@dataclass(frozen=True)
class Chip:
    """A coloured letter: which table."""

    letter: str
    colour: int


@dataclass(frozen=True)
class Box:
    """One thing."""

    x: float
    y: float
    width: float
    height: float
    title: str
    note: str = ""
    kind: Kind = "compute"
    chips: tuple[Chip, ...] = ()

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> Point:
        return (self.x + self.width / 2, self.y + self.height / 2)


@dataclass(frozen=True)
class Frame:
    """What holds other things."""

    x: float
    y: float
    width: float
    height: float
    title: str
    kind: Kind

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True)
class Arrow:
    """From the first point to the last, by right angles."""

    points: tuple[Point, ...]
    kind: Kind


@dataclass(frozen=True)
class Drawing:
    """All of it; frames in the order in which they lie upon each other."""

    title: str
    description: str
    width: float
    height: float
    frames: tuple[Frame, ...]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    legend: tuple[tuple[Point, str], ...] = ()


def text_width(text: str, size: float) -> float:
    """About what a text takes; letters differ, so on the safe side."""
    return len(text) * size * 0.56


LIGHT = {
    "paper": "#ffffff",
    "ink": "#1c2530",
    "soft": "#55626f",
    "line": "#c3ccd6",
    "box": "#ffffff",
    "band": "#f4f6f8",
    "edge": "#7333c4",
    "compute": "#b85200",
    "data": "#2458d3",
    "events": "#a3217c",
    "outside": "#55626f",
    "watch": "#0b7558",
}
DARK = {
    "paper": "#10161d",
    "ink": "#e8edf2",
    "soft": "#a5b2bf",
    "line": "#46525f",
    "box": "#1b2530",
    "band": "#151d26",
    "edge": "#b48cf0",
    "compute": "#f09a4a",
    "data": "#7ba4ff",
    "events": "#ea7fc9",
    "outside": "#a5b2bf",
    "watch": "#4fd1ae",
}
"""The same colours' names on light and on dark. No custom properties: not every viewer knows them."""
CHIPS = ("data", "compute", "events", "watch", "edge", "outside")
"""Whose colours the letters of tables have."""
KINDS: tuple[Kind, ...] = ("edge", "compute", "data", "events", "outside", "watch")
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'


def svg(drawing: Drawing) -> str:
    """The drawing as text; the same drawing gives the same text."""
    size = f'width="{_n(drawing.width)}" height="{_n(drawing.height)}"'
    view = f'viewBox="0 0 {_n(drawing.width)} {_n(drawing.height)}"'
    named = 'role="img" aria-labelledby="title description"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view} {size} {named}>',
        f'<title id="title">{escape(drawing.title)}</title>',
        f'<desc id="description">{escape(drawing.description)}</desc>',
        f"<style>\n{style()}</style>",
        f"<defs>{''.join(_head(kind) for kind in KINDS)}</defs>",
        f'<rect class="paper" {size} rx="10"/>',
        f'<text class="head" x="16" y="30">{escape(drawing.title)}</text>',
        *map(_frame, drawing.frames),
        *map(_line, drawing.arrows),
        *map(_title, drawing.frames),
        *map(_box, drawing.boxes),
        *map(_legend, drawing.legend),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def style() -> str:
    """Shapes, then colours for light, then those for dark."""
    shapes = (
        f"text {{ font-family: {FONT}; }}",
        ".head { font-size: 17px; font-weight: 650; }",
        f".name {{ font-size: {TITLE_SIZE}px; font-weight: 600; }}",
        f".note {{ font-size: {SMALL_SIZE}px; }} .title {{ font-size: 12px; font-weight: 600; }}",
        ".letter { font-size: 10px; font-weight: 700; text-anchor: middle; }",
        ".title { paint-order: stroke; stroke-width: 5px; stroke-linejoin: round; }",
        ".arrow { fill: none; stroke-width: 1.4; }",
    )
    dark = "\n".join(_colours(DARK))
    return "\n".join((*shapes, *_colours(LIGHT), f"@media (prefers-color-scheme: dark) {{\n{dark}\n}}", ""))


def _colours(palette: Mapping[str, str]) -> list[str]:
    rules = [
        f"text {{ fill: {palette['ink']}; }} text.note {{ fill: {palette['soft']}; }}",
        f".paper, text.letter {{ fill: {palette['paper']}; }}",
        f".box {{ fill: {palette['box']}; stroke: {palette['line']}; }}",
        f".frame {{ fill: {palette['band']}; }} .title {{ stroke: {palette['band']}; }}",
    ]
    rules += [
        f".frame.{kind}, .arrow.{kind} {{ stroke: {palette[kind]}; }}"
        f" .fill.{kind}, text.title.{kind} {{ fill: {palette[kind]}; }}"
        for kind in KINDS
    ]
    return rules


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _head(kind: Kind) -> str:
    return (
        f'<marker id="to-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
        f' orient="auto"><path class="fill {kind}" d="M0 0.6 L8 4 L0 7.4 z"/></marker>'
    )


def _frame(frame: Frame) -> str:
    at = f'x="{_n(frame.x)}" y="{_n(frame.y)}" width="{_n(frame.width)}" height="{_n(frame.height)}"'
    return f'<rect class="frame {frame.kind}" {at} rx="8"/>'


def _title(frame: Frame) -> str:
    """Over the arrows that pass."""
    at = f'x="{_n(frame.x + 10)}" y="{_n(frame.y + 17)}"'
    return f'<text class="title {frame.kind}" {at}>{escape(frame.title)}</text>'


def _line(arrow: Arrow) -> str:
    way = " L".join(f"{_n(x)} {_n(y)}" for x, y in arrow.points)
    return f'<path class="arrow {arrow.kind}" d="M{way}" marker-end="url(#to-{arrow.kind})"/>'


def _legend(entry: tuple[Point, str]) -> str:
    (x, y), text = entry
    return f'<text class="note" x="{_n(x)}" y="{_n(y)}">{escape(text)}</text>'


def _box(box: Box) -> str:
    x, width, height = _n(box.x), _n(box.width), _n(box.height)
    words = _n(box.x + MARGIN + 3)
    base = box.y + box.height / 2 + 4.5 if box.height < TWO_LINES else box.y + 20
    tall = f'height="{_n(box.height - 10)}"'
    parts = [
        f'<rect class="box" x="{x}" y="{_n(box.y)}" width="{width}" height="{height}" rx="5"/>',
        f'<rect class="fill {box.kind}" x="{x}" y="{_n(box.y + 5)}" width="3" {tall}/>',
        f'<text class="name" x="{words}" y="{_n(base)}">{escape(box.title)}</text>',
        *_chips(box),
    ]
    if box.note:
        at = f'x="{_n(box.right - MARGIN)}" text-anchor="end"' if box.chips else f'x="{words}"'
        parts.append(f'<text class="note" {at} y="{_n(box.y + 38)}">{escape(box.note)}</text>')
    return "".join(parts)


def _chips(box: Box) -> Sequence[str]:
    """In the second line, or at the right of a box that has only one."""
    two = box.height >= TWO_LINES
    top = box.y + 27 if two else box.y + (box.height - CHIP) / 2
    left = box.x + MARGIN + 3 if two else box.right - MARGIN - CHIP
    found = []
    for place, chip in enumerate(box.chips):
        x = left + place * (CHIP + 3)
        colour = CHIPS[chip.colour % len(CHIPS)]
        found.append(
            f'<rect class="fill {colour}" x="{_n(x)}" y="{_n(top)}" width="{CHIP}" height="{CHIP}" rx="3"/>'
            f'<text class="letter" x="{_n(x + CHIP / 2)}" y="{_n(top + 11)}">{escape(chip.letter)}</text>'
        )
    return found
