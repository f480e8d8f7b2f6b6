"""Services as processes: forked from a server that has the heavy imports already, each with only its own
variables, its own log, and an eye on whoever started it.
"""

import contextlib
import importlib.util
import multiprocessing
import os
import runpy
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import forkserver, util
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

R = TypeVar("R")

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
    "environments.local.warm",
]
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "SSL_CERT_FILE", "TMPDIR", "TZ")
"""What a service may see of the caller's own environment: nothing that could lend it other keys."""
GRACE_SECONDS = 5.0
NO_OTHER_KEYS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "BOTO_CONFIG": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Closes every other place where botocore looks for keys; most of them come before the role's own."""

_context = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Program:
    """One service to run: its module, its variables, where its output goes, and an instrument for tests."""

    name: str
    module: str
    variables: Mapping[str, str]
    log: Path
    instrument: str | None = None


class CallFailed(Exception):  # noqa: N818
    """A function in a process of its own did not return. The message says why."""


def forget_ambient() -> None:
    """Drops what the caller's shell would lend this process and its children: AWS keys and profiles.

    Nor has a proxy any business between two processes of one machine.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(NO_OTHER_KEYS)
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, ["127.0.0.1,localhost", os.environ.get(name)]))


def prepare() -> None:
    """Starts the fork server, which imports what all services need while other things start."""
    _context.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


def start(program: Program) -> BaseProcess:
    """Starts a service."""
    process = _context.Process(target=_run, args=(program,), name=program.name, daemon=True)
    process.start()
    return process


def call(function: Callable[..., R], *arguments: object, keep_waiting: Callable[[], None]) -> R:
    """What `function` returns in a process of its own, which takes all the memory that it used with it.

    Calls `keep_waiting` now and then, which may raise. Raises `CallFailed`.
    """
    receiver, sender = _context.Pipe(duplex=False)
    process = _context.Process(target=_answer, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        while not receiver.poll(0.02):
            keep_waiting()
        failure, result = receiver.recv()
    except EOFError:
        raise CallFailed(f"{function.__name__} ended with {process.exitcode}") from None
    finally:
        process.terminate()
        process.join()
        receiver.close()
    if failure is not None:
        raise CallFailed(failure)
    returned: R = result
    return returned


def fork_server_pid() -> int | None:
    """The fork server's id, once there is one."""
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)  # noqa: SLF001 (no public way)
    return pid


def end_fork_server() -> None:
    """Ends the fork server and waits until it has: nothing is left when this process ends."""
    with contextlib.suppress(OSError):
        forkserver._forkserver._stop()  # type: ignore[attr-defined]  # noqa: SLF001 (no public way)
    # Its socket's folder in /tmp, which the end of this process without exit handlers would leave.
    shutil.rmtree(util.get_temp_dir(), ignore_errors=True)


def _answer(sender: Connection, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    _follow_parent()
    try:
        answer = (None, function(*arguments))
    except Exception as error:  # noqa: BLE001 (a process border)
        sender.send((f"{type(error).__name__}: {error}", None))
    else:
        sender.send(answer)


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
