"""Beside the VPC: how users come in, what is kept and watched, and the world outside."""

from itertools import pairwise

from environments.diagram.canvas import GAP, HEAD, PAD, Canvas, around
from environments.diagram.drawing import Box, Frame, Kind, Point
from environments.diagram.grid import CORRIDOR, HEIGHT, LANE

LEFT = 34.0
"""Where the left column begins; an arrow passes on its left."""
SIDE = 150.0
"""A box of either column."""
LOW = 30.0
"""The height of a box with one line."""

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
BUDGET = "aws:budgets/budget:Budget"
FIREWALL = "aws:wafv2/webAcl:WebAcl"
KEY = "aws:kms/key:Key"
POOL = "aws:cognito/userPool:UserPool"
POOL_CLIENT = "aws:cognito/userPoolClient:UserPoolClient"
RECORD = "aws:route53/record:Record"
REPOSITORY = "aws:ecr/repository:Repository"
CONTAINER_OF_A_SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105
TOPIC = "aws:sns/topic:Topic"


def left(canvas: Canvas, top: float) -> float:
    """From the users to the load balancer, and what is kept; gives where the column ends."""
    y = _way_in(canvas, top)
    kept = canvas.counted(
        (
            ("Secrets Manager", "secret", CONTAINER_OF_A_SECRET),
            ("KMS", "key", KEY),
            ("ECR", "image repository", REPOSITORY),
        )
    )
    frame = canvas.stack("Secrets, keys, images", "data", Box(LEFT, y + HEAD + 6, SIDE, 0, ""), kept)
    return frame.bottom + LANE if frame else y


def _way_in(canvas: Canvas, y: float) -> float:
    steps: list[tuple[str, str, Kind]] = [("Users", "an app, a browser", "outside")]
    steps += [("Route 53", "and certificate", "edge")] if canvas.number(RECORD) else []
    steps += [("Firewall", "AWS WAF", "edge")] if canvas.number(FIREWALL) else []
    placed = []
    for title, note, kind in steps:
        placed.append(canvas.box("edge", title, Box(LEFT, y, SIDE, HEIGHT, title, note, kind)))
        y += HEIGHT + LANE
    for a, b in pairwise(placed):
        canvas.arrow("edge", (a.middle[0], a.bottom), (b.middle[0], b.y))
    users, last, balancer = placed[0], placed[-1], canvas.boxes["edge", "balancer"]
    turn = last.right + CORRIDOR / 2
    canvas.elbow("edge", (last.right, last.middle[1]), turn, (balancer.x, balancer.middle[1]))
    if canvas.number(POOL, POOL_CLIENT):
        pool = canvas.box("edge", "pool", Box(LEFT, y, SIDE, HEIGHT, "Cognito", "signs users in", "edge"))
        canvas.elbow("edge", (users.x, users.middle[1]), LEFT - PAD, (pool.x, pool.middle[1]))
        y = pool.bottom + LANE
    return y


def right(canvas: Canvas, x: float, y: float) -> float:
    """The world outside, the tables and the watch; gives where the column ends."""
    egress = {each for service in canvas.catalog.services for each in service.egress}
    outside = [("Bacen", "DICT and SPI")] if egress & {"dict", "spi"} else []
    outside += [("Other banks", "Open Finance")] if "banks" in egress else []
    first = Box(x + PAD, y + HEAD + 6, SIDE, 0, "")
    if frame := canvas.stack("Outside", "outside", first, outside):
        nat = canvas.boxes["edge", "nat"]
        canvas.arrow("edge", (nat.right, nat.middle[1]), (frame.x, nat.middle[1]))
        y = frame.bottom + PAD
    if canvas.catalog.tables:
        # Beside the cluster, which the arrow comes from.
        cluster = next(each for each in canvas.frames if each.title.startswith("EKS"))
        y = _tables(canvas, x + PAD, max(y, cluster.y) + HEAD + 6, cluster).bottom + PAD
    watch = canvas.counted(
        (("CloudWatch", "alarm", ALARM), ("SNS", "alarm topic", TOPIC), ("Budget", "monthly limit", BUDGET))
    )
    below = canvas.stack("Watched", "watch", Box(x + PAD, y + HEAD + 6, SIDE, 0, ""), watch)
    return below.bottom if below else y


def _tables(canvas: Canvas, x: float, y: float, cluster: Frame) -> Frame:
    letters = canvas.letters()
    placed = []
    for place, table in enumerate(canvas.catalog.tables):
        box = Box(
            x,
            y + place * (LOW + GAP),
            SIDE,
            LOW,
            table.name,
            kind="data",
            chips=(letters[table.name],),
        )
        placed.append(canvas.box("table", table.name, box))
    frame = around("DynamoDB", "data", placed)
    canvas.frames.append(frame)
    level = frame.y + HEAD
    canvas.arrow("data", (cluster.right, level), (frame.x, level))
    return frame


def legend(y: float) -> tuple[tuple[Point, str], ...]:
    """What letters mean."""
    said = ["A letter: a table that the", "service may use."]
    return tuple(((LEFT - PAD, y + place * 15), text) for place, text in enumerate(said))
