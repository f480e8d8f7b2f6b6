"""What `python -m environments.bench` measures: all of it, or a part."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

PARTS = ("idle", "view", "lookups", "floor", "uniform", "hot-payee", "hot-payer", "pix", "ceiling")
SECONDS = 5.0
ACCOUNTS = 1000
CLIENTS = (1, 8, 32)


@dataclass(frozen=True)
class Options:
    """`only` are parts of `PARTS`; `clients` and `seconds` are those of each load."""

    only: frozenset[str] = frozenset(PARTS)
    clients: tuple[int, ...] = CLIENTS
    seconds: float = SECONDS
    accounts: int = ACCOUNTS
    dynamodb: str | None = None
    settle_workers: int = 1

    def up(self) -> list[str]:
        """What `gobank` is asked for."""
        arguments = ["up", "--detach"]
        if self.dynamodb is not None:
            arguments += ["--dynamodb", self.dynamodb]
        if self.settle_workers != 1:
            arguments += ["--replicas", f"settle_transfers={self.settle_workers}"]
        return arguments


def read(arguments: Sequence[str]) -> Options:
    """The options on a command line; ends the program with a message when they are wrong."""
    parser = argparse.ArgumentParser(prog="python -m environments.bench", description=__doc__)
    parser.add_argument("--only", metavar="PART,…", type=_parts, default=Options.only, help=", ".join(PARTS))
    parser.add_argument("--clients", metavar="N,…", type=_clients, default=CLIENTS)
    parser.add_argument("--seconds", type=_seconds, default=SECONDS, help="of each load")
    parser.add_argument("--accounts", type=_accounts, default=ACCOUNTS, help="that pay and are paid")
    parser.add_argument("--dynamodb", metavar="URL", help="a DynamoDB that you have, as for `gobank up`")
    parser.add_argument("--settle-workers", metavar="N", type=_positive, default=1)
    return Options(**vars(parser.parse_args(arguments)))


def _parts(text: str) -> frozenset[str]:
    parts = frozenset(text.split(","))
    if unknown := parts - frozenset(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return parts


def _clients(text: str) -> tuple[int, ...]:
    return tuple(_positive(each) for each in text.split(","))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1 on")
    return int(text)


def _accounts(text: str) -> int:
    # The first account pays 31 others, who pay the rest.
    if _positive(text) < 40:
        raise argparse.ArgumentTypeError("at least 40")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is no time in seconds")
    return seconds
