"""The architecture as a picture: what stands, from a stack's resources; who calls whom, from the catalog.

The way in at the left, the VPC with its bands in the middle, the world outside, the tables and the watch at
the right. The same resources and the same catalog give the same picture.
"""

from collections.abc import Sequence

from apps.catalog import Catalog
from environments.diagram.beside import LEFT, SIDE, left, legend, right
from environments.diagram.canvas import PAD, Canvas
from environments.diagram.drawing import Drawing, svg
from environments.diagram.grid import CORRIDOR, grid
from environments.diagram.inside import vpc
from environments.resources import Resource

TOP = 46.0
EDGE = 16.0


def diagram(resources: Sequence[Resource], catalog: Catalog) -> str:
    """The SVG of a stack."""
    return svg(plan(resources, catalog))


def plan(resources: Sequence[Resource], catalog: Catalog) -> Drawing:
    """Where everything is."""
    canvas = Canvas(resources, catalog)
    middle = vpc(canvas, grid(catalog, LEFT + SIDE + CORRIDOR + 2 * PAD), TOP)
    left_end = left(canvas, middle.y)
    words = legend(left_end)
    x = middle.right + CORRIDOR
    ends = (middle.bottom, right(canvas, x, middle.y), words[-1][0][1])
    services = ", ".join(service.name for service in catalog.services)
    tables = ", ".join(table.name for table in catalog.tables)
    return Drawing(
        title="GO Banking on AWS",
        description=f"Users reach the load balancer, which reaches the gateway. Services: {services}."
        f" Tables: {tables}.",
        width=x + SIDE + 2 * PAD + EDGE,
        height=max(ends) + EDGE,
        frames=tuple(canvas.frames),
        boxes=tuple(canvas.boxes.values()),
        arrows=tuple(canvas.arrows),
        legend=words,
    )
