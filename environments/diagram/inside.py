"""The VPC: its bands, what is in them, and the arrows between services and topics."""

from collections.abc import Iterator

from apps.catalog import Service
from environments.diagram.canvas import HEAD, PAD, Canvas, around, plural
from environments.diagram.drawing import Box, Frame, text_width
from environments.diagram.grid import CORRIDOR, HEIGHT, LANE, STEP, WIDTH, Grid, calls

ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
NAT = "aws:ec2/natGateway:NatGateway"


def vpc(canvas: Canvas, cells: Grid, top: float) -> Frame:
    """Places the VPC with all that is in it."""
    public = _public(canvas, cells, top + 2 * HEAD + PAD)
    private = _private(canvas, cells, public.bottom + PAD)
    isolated = _isolated(canvas, cells, private.bottom + PAD)
    left = min(each.x for each in (public, private, isolated))
    width = max(each.right for each in (public, private, isolated)) - left
    bands = [
        Frame(left, each.y, width, each.height, each.title, each.kind) for each in (public, private, isolated)
    ]
    upper = public.y - PAD - HEAD + 6
    whole = Frame(left - PAD, upper, width + 2 * PAD, isolated.bottom + PAD - upper, "VPC", "outside")
    canvas.frames = [whole, *bands, *canvas.frames]
    _arrows(canvas, cells)
    return whole


def _public(canvas: Canvas, cells: Grid, y: float) -> Frame:
    gateways = canvas.number(NAT)
    note = (
        f"{gateways} fixed {'address' if gateways == 1 else 'addresses'}" if gateways else "of the VPC given"
    )
    nat = Box(cells.left(cells.columns - 1), y, WIDTH, HEIGHT, "NAT gateway", note, "edge")
    balancer = Box(cells.x, y, WIDTH, HEIGHT, "Load balancer", "ALB", "edge")
    canvas.box("edge", "balancer", balancer)
    canvas.box("edge", "nat", nat)
    return around("Public subnets, 3 zones", "edge", [balancer, nat])


def _private(canvas: Canvas, cells: Grid, above: float) -> Frame:
    top = above + 2 * HEAD + LANE
    placed = [
        canvas.box("service", service.name, _service(canvas, service, cells, top))
        for service in canvas.catalog.services
    ]
    # Arrows need room above the first row and behind the last column.
    room = Frame(cells.x, top - LANE + PAD, cells.width + CORRIDOR - PAD, 1, "", "compute")
    cluster = around("EKS cluster: restricted pods, default deny", "compute", [*placed, room])
    canvas.frames.append(cluster)
    return around("Private subnets, 3 zones", "compute", [cluster])


def _service(canvas: Canvas, service: Service, cells: Grid, top: float) -> Box:
    column, row = cells.cells[service.name]
    letters = canvas.letters()
    return Box(
        cells.left(column),
        top + row * (HEIGHT + LANE),
        WIDTH,
        HEIGHT,
        service.name,
        _pods(service),
        "outside" if service.kind == "simulator" else "compute",
        tuple(letters[access.table] for access in service.tables),
    )


def _pods(service: Service) -> str:
    if service.kind == "job":
        return "job"
    pods = f"{service.replicas} {plural('pod', service.replicas)}"
    return f"simulator, {pods}" if service.kind == "simulator" else pods


def _isolated(canvas: Canvas, cells: Grid, above: float) -> Frame:
    placed = list(_topics(canvas, cells, above + 2 * HEAD))
    y = max((box.bottom for box in placed if box.x == cells.x), default=above + 2 * HEAD - LANE) + LANE
    brokers = Box(cells.x, y, WIDTH, HEIGHT, "MSK brokers", "IAM, TLS, own key", "events")
    placed.append(canvas.box("isolated", "brokers", brokers))
    if endpoints := canvas.number(ENDPOINT):
        note = f"{endpoints} to AWS's own APIs"
        box = Box(cells.left(1), y, WIDTH, HEIGHT, "VPC endpoints", note, "edge")
        placed.append(canvas.box("isolated", "endpoints", box))
    return around("Isolated subnets, no way out", "events", placed)


def _topics(canvas: Canvas, cells: Grid, y: float) -> Iterator[Box]:
    """As wide as the grid, so that every worker stands above; those for dead letters aside, below."""
    aside = {topic.dead_letter for topic in canvas.catalog.topics}
    for topic in canvas.catalog.topics:
        if topic.name not in aside:
            note = f"topic: {topic.partitions} partitions, kept {topic.retention_hours // 24} days"
            bar = Box(cells.x, y, cells.width, HEIGHT, topic.name, note, "events")
            yield canvas.box("topic", topic.name, bar)
            y += HEIGHT + LANE
    right = cells.x + cells.width
    for topic in canvas.catalog.topics:
        if topic.name in aside:
            width = max(WIDTH, text_width(topic.name, 13) + 2 * PAD)
            note = f"topic: kept {topic.retention_hours // 24} days"
            box = Box(right - width, y, width, HEIGHT, topic.name, note, "events")
            yield canvas.box("topic", topic.name, box)
            right -= width + CORRIDOR


def _arrows(canvas: Canvas, cells: Grid) -> None:
    services = {name: box for (kind, name), box in canvas.boxes.items() if kind == "service"}
    balancer = canvas.boxes["edge", "balancer"]
    for name, box in services.items():
        if cells.cells[name] == (0, 0):
            canvas.arrow("edge", (balancer.middle[0], balancer.bottom), (box.middle[0], box.y))
    canvas.arrows += calls(canvas.catalog, cells, services)
    for service in canvas.catalog.services:
        box = services[service.name]
        for topic in sorted(service.produces):
            x = box.middle[0] - 2 * STEP
            canvas.arrow("events", (x, box.bottom), (x, canvas.boxes["topic", topic].y))
        if service.consumes:
            x = box.middle[0] + 2 * STEP
            canvas.arrow("events", (x, canvas.boxes["topic", service.consumes.topic].y), (x, box.bottom))
    for declared in canvas.catalog.topics:
        if declared.dead_letter:
            below = canvas.boxes["topic", declared.dead_letter]
            x = below.middle[0]
            canvas.arrow("events", (x, canvas.boxes["topic", declared.name].bottom), (x, below.y))
