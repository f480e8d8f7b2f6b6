"""What has been placed so far, and what stands of the design."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from apps.catalog import Catalog
from environments.diagram.drawing import Arrow, Box, Chip, Frame, Kind, Point
from environments.diagram.grid import HEIGHT
from environments.resources import Resource

PAD = 14.0
HEAD = 24.0
"""A frame's title."""
GAP = 8.0
"""Between boxes below each other."""


@dataclass
class Canvas:
    """Boxes go by kind and name, since a service and a table may share one."""

    resources: Sequence[Resource]
    catalog: Catalog
    boxes: dict[tuple[str, str], Box] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)

    def number(self, *types: str) -> int:
        """How many resources there are of these types."""
        return sum(each.type in types for each in self.resources)

    def box(self, kind: str, name: str, box: Box) -> Box:
        """Places a box."""
        self.boxes[kind, name] = box
        return box

    def stack(self, frame: str, kind: Kind, at: Box, boxes: Sequence[tuple[str, str]]) -> Frame | None:
        """Places boxes (title and note) below each other in a frame, the first one where `at` is."""
        if not boxes:
            return None
        placed = [
            self.box(
                frame,
                name,
                Box(at.x, at.y + place * (HEIGHT + GAP), at.width, HEIGHT, name, note, kind),
            )
            for place, (name, note) in enumerate(boxes)
        ]
        self.frames.append(around(frame, kind, placed))
        return self.frames[-1]

    def counted(self, kinds: Sequence[tuple[str, str, str]]) -> list[tuple[str, str]]:
        """Of each kind (title, what it is, its type) that stands, how many."""
        numbers = [(title, what, self.number(type_)) for title, what, type_ in kinds]
        return [(title, f"{number} {plural(what, number)}") for title, what, number in numbers if number]

    def arrow(self, kind: Kind, *points: Point) -> None:
        """Places an arrow."""
        self.arrows.append(Arrow(points, kind))

    def elbow(self, kind: Kind, start: Point, x: float, end: Point) -> None:
        """Level, up or down at `x`, level again."""
        self.arrow(kind, start, (x, start[1]), (x, end[1]), end)

    def letters(self) -> dict[str, Chip]:
        """Of each table, the letter that stands for it in a service."""
        return {
            table.name: Chip(table.name[0].upper(), place) for place, table in enumerate(self.catalog.tables)
        }


def around(title: str, kind: Kind, inside: Iterable[Box | Frame]) -> Frame:
    """A frame around what is placed."""
    held = list(inside)
    left = min(each.x for each in held) - PAD
    top = min(each.y for each in held) - PAD - HEAD + 8
    right = max(each.right for each in held) + PAD
    return Frame(left, top, right - left, max(each.bottom for each in held) + PAD - top, title, kind)


def plural(what: str, number: int) -> str:
    """`2 pods`, `8 repositories`, `3 keys`."""
    if number == 1:
        return what
    return f"{what[:-1]}ies" if what.endswith("y") and what[-2] not in "aeiou" else f"{what}s"
