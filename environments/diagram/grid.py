"""Where services stand in the picture, and how calls go between them without crossing one.

APIs and simulators stand in columns by how deep their calls go, workers in rows below, those that use Kafka
in the last one. Arrows keep to corridors between columns and lanes between rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.catalog import Catalog, Service
from environments.diagram.drawing import Arrow, Box, Point

WIDTH, HEIGHT = 150.0, 48.0
"""Of a box."""
CORRIDOR = 46.0
LANE = 32.0
STEP = 6.0
"""Between two arrows side by side."""

FEWEST = 4
"""Columns: what stands above and below the services needs the room."""

Cell = tuple[int, int]
"""Column and row."""


@dataclass(frozen=True)
class Grid:
    """The cell of each service. `x` is where the first column begins."""

    x: float
    cells: Mapping[str, Cell]
    columns: int

    @property
    def width(self) -> float:
        """Of all columns, with the corridors between them."""
        return self.columns * WIDTH + (self.columns - 1) * CORRIDOR

    def left(self, column: int) -> float:
        """Where a column begins."""
        return self.x + column * (WIDTH + CORRIDOR)


def grid(catalog: Catalog, x: float) -> Grid:
    """The cells of a catalog's services."""
    answering = [each for each in catalog.services if each.kind in {"api", "simulator"}]
    others = [each for each in catalog.services if each not in answering]
    by_kafka = [each for each in others if each.consumes or each.produces]
    alone = [each for each in others if each not in by_kafka]
    cells = _answering(answering)
    columns = max([*(column + 1 for column, _ in cells.values()), len(by_kafka), FEWEST])
    row = max((row + 1 for _, row in cells.values()), default=0)
    for place, service in enumerate(alone):
        cells[service.name] = (place % columns, row + place // columns)
    row += -(-len(alone) // columns)
    for place, service in enumerate(by_kafka):
        cells[service.name] = (place, row)
    return Grid(x, cells, columns)


def _answering(services: Sequence[Service]) -> dict[str, Cell]:
    """By depth; in a column, as high as those who call."""
    depths = _depths(services)
    cells: dict[str, Cell] = {}
    for column in range(max(depths.values(), default=-1) + 1):
        here = [service for service in services if depths[service.name] == column]
        here.sort(key=lambda service: _height(service, cells))
        cells |= {service.name: (column, row) for row, service in enumerate(here)}
    return cells


def _height(service: Service, cells: Mapping[str, Cell]) -> float:
    rows = [cells[caller][1] for caller in service.callers if caller in cells]
    return sum(rows) / len(rows) if rows else 0.0


def _depths(services: Sequence[Service]) -> dict[str, int]:
    """How many calls lie at most between a service and one that nobody calls."""
    callers = {each.name: each.callers for each in services}
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 0  # where calls go in a circle, it is cut here
            depths[name] = max((depth(each) + 1 for each in callers[name] if each in callers), default=0)
        return depths[name]

    for service in services:
        depth(service.name)
    return depths


# --- the arrows -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Call:
    """Leaves at the right, turns to `level` in the corridor there, and comes in at the left.

    Within a column it comes in at the right instead. `far` ones cross columns in the lane above the callee.
    """

    caller: str
    callee: str
    leaves: int
    enters: int | None
    from_y: float
    level: float

    @property
    def far(self) -> bool:
        return self.enters is not None and self.enters != self.leaves


def calls(catalog: Catalog, placed: Grid, boxes: Mapping[str, Box]) -> list[Arrow]:
    """An arrow from each service to each that it calls."""
    found = [
        _call(caller.name, callee.name, placed, boxes)
        for callee in catalog.services
        for caller in catalog.services
        if caller.name in callee.callers
    ]
    out = _ports((each.caller, each) for each in sorted(found, key=lambda each: each.level))
    into = _ports(
        ((each.callee, each.enters is None), each)
        for each in sorted(found, key=lambda each: each.level if each.far else each.from_y)
    )
    tracks, lanes = _tracks(found, placed), _lanes(found, placed)
    arrows = []
    for each in found:
        a, b = boxes[each.caller], boxes[each.callee]
        leave = a.middle[1] + out[each]
        # Side by side, a straight line is worth more than the middle, unless another one comes in there.
        taken = {into[other] for other in found if other.callee == each.callee and other != each}
        beside = not each.far and a.y == b.y and out[each] not in taken
        enter = leave if beside else b.middle[1] + into[each]
        turn = tracks[each, each.leaves]
        points: list[Point] = [(a.right, leave), (turn, leave)]
        if each.far and each.enters is not None:
            level, last = each.level + lanes[each], tracks[each, each.enters]
            points += [(turn, level), (last, level), (last, enter)]
        else:
            points.append((turn, enter))
        points.append((b.right if each.enters is None else b.x, enter))
        arrows.append(Arrow(_straight(points), "compute"))
    return arrows


def _call(caller: str, callee: str, placed: Grid, boxes: Mapping[str, Box]) -> _Call:
    (start, _), (end, _) = placed.cells[caller], placed.cells[callee]
    enters = None if start == end else end - 1
    far = enters is not None and enters != start
    b = boxes[callee]
    return _Call(
        caller, callee, start, enters, boxes[caller].middle[1], b.y - LANE / 2 if far else b.middle[1]
    )


def _ports(ordered: Iterable[tuple[object, _Call]]) -> dict[_Call, float]:
    """On each side of a box, places one above the other around its middle."""
    sides: dict[object, list[_Call]] = {}
    for side, call in ordered:
        sides.setdefault(side, []).append(call)
    return {
        call: _beside(place, len(side), 1.5 * STEP, HEIGHT)
        for side in sides.values()
        for place, call in enumerate(side)
    }


def _tracks(found: Sequence[_Call], placed: Grid) -> dict[tuple[_Call, int], float]:
    """In each corridor, a place for each arrow that goes up or down there.

    What turns up first keeps left and what turns down first keeps right, so that arrows from one box do
    not cross; what comes in from a lane keeps to the right of all that leave.
    """
    corridors: dict[int, list[tuple[tuple[float, ...], _Call]]] = {}
    for call in found:
        down = call.level > call.from_y
        order = (0.0, call.from_y, -call.level) if down else (0.0, call.from_y, call.level)
        corridors.setdefault(call.leaves, []).append((order, call))
        if call.far and call.enters is not None:
            corridors.setdefault(call.enters, []).append(((1.0, call.level, 0.0), call))
    tracks: dict[tuple[_Call, int], float] = {}
    for corridor, through in corridors.items():
        through.sort(key=lambda each: (each[0], each[1].caller, each[1].callee))
        middle = placed.left(corridor) + WIDTH + CORRIDOR / 2
        for place, (_, call) in enumerate(through):
            tracks[call, corridor] = middle + _beside(place, len(through), STEP, CORRIDOR)
    return tracks


def _lanes(found: Sequence[_Call], placed: Grid) -> dict[_Call, float]:
    """In each lane, a place for each arrow that goes from side to side there."""
    lanes: dict[int, list[_Call]] = {}
    for call in found:
        if call.far:
            lanes.setdefault(placed.cells[call.callee][1], []).append(call)
    return {
        call: _beside(place, len(lane), STEP, LANE)
        for lane in lanes.values()
        for place, call in enumerate(lane)
    }


def _beside(place: int, number: int, step: float, room: float) -> float:
    """How far one of a number of arrows is from the middle: closer together where there is little room."""
    step = min(step, (room - 2 * STEP) / max(number - 1, 1))
    return (place - (number - 1) / 2) * step


def _straight(points: Sequence[Point]) -> tuple[Point, ...]:
    """Without the corners that turn nowhere."""
    kept: list[Point] = []
    for point in points:
        if len(kept) >= 2 and (
            kept[-2][0] == kept[-1][0] == point[0] or kept[-2][1] == kept[-1][1] == point[1]
        ):
            kept[-1] = point
        elif not kept or kept[-1] != point:
            kept.append(point)
    return tuple(kept)
