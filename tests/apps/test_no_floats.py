"""Money is whole centavos everywhere: no float and no Decimal comes near it, in any service.

Floats are for seconds. Where a statement that holds one says nothing of seconds, it stands below with the
reason.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

APPS = Path(__file__).parents[2] / "apps"
SOURCES = sorted(APPS.rglob("*.py"))
MONEY = re.compile(r"cents|amount|balance|available|on_hold", re.IGNORECASE)
TIME = re.compile(r"seconds|_ms\b|_at\b|_until\b|monotonic|timestamp|\bLEASE\b", re.IGNORECASE)
"""What a statement about time says."""
ALLOWED = {
    ("consumers/receive_pix.py", "rest = 0.0"): "seconds until the next turn",
    ("consumers/relay_outbox.py", "unchanged_since: float = 0.0"): "a moment of the monotonic clock",
    ("kit/consumer.py", "return min(longest, doubled) * (0.5 + 0.5 * self.jitter())"): "seconds of a delay",
    ("kit/dynamo.py", "sleep(random.uniform(0, min(0.5, 0.015 * 2 ** attempt)))"): "seconds of a pause",
    ("kit/tokens.py", "rest = 0.0"): "seconds until keys are read again",
    ("kit/turns.py", "if not turn.woken.wait(max(0.0, left)):"): "seconds that are left of a turn's",
    ("ledger/audit.py", "return 0.0"): "the age of the outbox in seconds",
    (
        "open_finance/holder/authorisation.py",
        "if not good or not self._store.first_use(client.client_id, str(jti), float(str(expires))):",
    ): "the moment at which an assertion ends",
    (
        "simulators/bacen/population.py",
        (
            "key = root if self._chance.random() < 0.7 else "
            "str(uuid.UUID(int=self._chance.getrandbits(128), version=4))"
        ),
    ): "how many of a hundred keys are names",
}
"""By file and the first line of the statement, why it may hold a float."""


def name_of(source: Path) -> str:
    return source.relative_to(APPS).as_posix()


def statements(tree: ast.Module) -> Iterator[tuple[ast.stmt, list[ast.expr]]]:
    """Each statement with the expressions that are its own, not those of statements within it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            own: list[ast.expr] = []
            todo = list(ast.iter_child_nodes(node))
            while todo:
                each = todo.pop()
                if isinstance(each, ast.stmt):
                    continue
                if isinstance(each, ast.expr):
                    own.append(each)
                todo += ast.iter_child_nodes(each)
            yield node, own


def makes_a_float(expression: ast.expr) -> bool:
    """Whether this is a float, or turns something into one. Texts join paths by a division too."""
    match expression:
        case ast.Constant(value=float()):
            return True
        case ast.Call(func=ast.Name(id="float" | "Decimal")):
            return True
        case ast.BinOp(op=ast.Div(), right=right):
            return not isinstance(right, ast.JoinedStr) and not (
                isinstance(right, ast.Constant) and isinstance(right.value, str)
            )
    return False


def floats(source: str) -> Iterator[str]:
    """The first line of each statement that makes a float and is not about time, or is about money too."""
    for statement, own in statements(ast.parse(source)):
        if any(makes_a_float(each) for each in own):
            head = ast.unparse(statement).splitlines()[0]
            if MONEY.search(head) or not TIME.search(head):
                yield head


def money_annotated_as_float(source: str) -> Iterator[str]:
    """Names of money, of variables, parameters and what functions give, that are said to be floats."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.AnnAssign(target=target, annotation=annotation):
                name = ast.unparse(target)
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                pass
            case ast.FunctionDef(name=name, returns=ast.expr() as annotation):
                pass
            case _:
                continue
        if MONEY.search(name) and re.search("float|Decimal", ast.unparse(annotation)):
            yield name


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_no_money_is_a_float(source: Path) -> None:
    text = source.read_text()
    assert list(money_annotated_as_float(text)) == []
    assert [head for head in floats(text) if (name_of(source), head) not in ALLOWED] == []


def test_every_exception_is_still_there() -> None:
    found = {(name_of(source), head) for source in SOURCES for head in floats(source.read_text())}
    assert set(ALLOWED) == found & set(ALLOWED)


@pytest.mark.parametrize(
    "statement",
    [
        "fee = 0.5",
        "half = amount_cents / 2",
        "share = round(total / 3)",
        "amount = float(text)",
        "amount = Decimal(text)",
        "amount_seconds = balance / seconds",
        "return [each.amount / 2 for each in parts]",
    ],
)
def test_a_float_beside_money_would_be_found(statement: str) -> None:
    assert list(floats(f"def pay():\n    {statement}")) == [statement]


def test_a_float_that_is_called_money_would_be_found() -> None:
    source = "def available(amount: float, cents: 'Decimal') -> float:\n    balance: float | None = None"
    assert sorted(money_annotated_as_float(source)) == ["amount", "available", "balance", "cents"]
