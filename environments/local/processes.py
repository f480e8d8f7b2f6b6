"""Services as processes: forked from a server that has the heavy imports already, each with only its own
variables, its own log, and an eye on whoever started it.
"""

import importlib.util
import multiprocessing
import os
import runpy
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = [
    "aiohttp",
    "boto3",
    "botocore.handlers",
    "fastapi",
    "fastapi.openapi.utils",
    "jose.jwt",
    "kafka",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
]
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "SSL_CERT_FILE", "TMPDIR", "TZ")
"""What a service may see of the caller's own environment: nothing that could lend it other keys."""
GRACE_SECONDS = 5.0

_context = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Program:
    """One service to run: its module, its variables, where its output goes, and an instrument for tests."""

    name: str
    module: str
    variables: Mapping[str, str]
    log: Path
    instrument: str | None = None


def prepare() -> None:
    """Starts the fork server, which imports what all services need while other things start."""
    _context.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


def start(program: Program) -> BaseProcess:
    """Starts a service."""
    process = _context.Process(target=_run, args=(program,), name=program.name, daemon=True)
    process.start()
    return process


def _run(program: Program) -> None:
    """Becomes the service, in a process of its own."""
    _follow_parent()
    output = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    os.environ.clear()
    os.environ.update({**inherited, **program.variables})
    os.chdir(ROOT)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if program.instrument is not None:
        _load(program.instrument).install(program.name)
    runpy.run_module(program.module, run_name="__main__", alter_sys=True)


def _follow_parent() -> None:
    """Ends this process when the one that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def follow() -> None:
        wait([sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=follow, name="parent", daemon=True).start()


def _load(path: str) -> Any:
    """The module at `path`, which tests name to put an instrument into each service before it starts."""
    spec = importlib.util.spec_from_file_location("instrument", path)
    assert spec is not None, f"{path} is no Python file"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
