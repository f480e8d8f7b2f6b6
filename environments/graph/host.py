"""Runs a Pulumi program against a `Recorder`: any number of times in one process, none seeing another."""

import asyncio
import contextvars
import gc
import inspect
import json
import os
import runpy
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from pulumi.runtime import Settings, configure, run_in_stack, set_all_config
from pulumi.runtime.settings import ROOT, SETTINGS

from environments.graph.recorder import Console, Recorder

Program = Callable[[], Any] | Path
"""A function that registers resources, or the folder of a program (with a `__main__.py`)."""


def run(
    program: Program,
    recorder: Recorder,
    console: Console,
    config: Mapping[str, Any],
    secrets: Collection[str],
) -> None:
    """Runs the program to its end. Whatever it raises, in an `apply` too, is raised here.

    Everything that the SDK remembers (settings, root stack, config) is in context variables, so a
    fresh context holds one run, and a fresh event loop its futures. A fresh thread has a short stack, of
    which the SDK keeps a copy with each resource.
    """
    context = contextvars.copy_context()
    context.run(_prepare, recorder, console, config, secrets)
    hosting = _hosting(program) if isinstance(program, Path) else nullcontext()
    with _strict_outputs(), _quiet_failure(), _uncollected(), hosting, ThreadPoolExecutor(1) as thread:
        thread.submit(_run, program, context).result()


def _run(program: Program, context: contextvars.Context) -> None:
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda *_: None)
        runner.run(run_in_stack(lambda: _to_its_end(program)), context=context)


@contextmanager
def _quiet_failure() -> Iterator[None]:
    """Drops what a failed program leaves behind, and says nothing of it, as the SDK's own hosts do.

    Futures that nobody will read and coroutines that nobody will await would otherwise be reported
    when they are collected: in some later test, which has nothing to do with them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        try:
            yield
        except BaseException:
            gc.collect()
            raise


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: with the SDKs' many objects it is half of a run's time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _prepare(
    recorder: Recorder, console: Console, config: Mapping[str, Any], secrets: Collection[str]
) -> None:
    settings = Settings(
        project=recorder.project,
        stack=recorder.stack,
        monitor=recorder,
        engine=console,
        dry_run=recorder.preview,
        organization="organization",
    )
    configure(settings)
    ROOT.set(None)
    texts = {
        _full(key, recorder): value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
    }
    set_all_config(texts, [_full(key, recorder) for key in secrets])


def _full(key: str, recorder: Recorder) -> str:
    return key if ":" in key else f"{recorder.project}:{key}"


async def _to_its_end(program: Program) -> None:
    """Runs the program until all its outputs are there, or one has failed.

    The SDK waits too, and raises what failed; but it goes through all that is left each time that something
    ends, which takes long with hundreds of resources.
    """
    if isinstance(program, Path):
        runpy.run_path(str(program), run_name="__main__")
    elif inspect.iscoroutine(result := program()):
        await result
    while pending := {output for output in SETTINGS.outputs if not output.done()}:
        ended, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        if any(output.cancelled() or output.exception() for output in ended):
            return


@contextmanager
def _strict_outputs() -> Iterator[None]:
    """Text made of an `Output` (`f"{bucket.id}"`) is an error, where it is but a warning by default."""
    name = "PULUMI_ERROR_OUTPUT_STRING"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _hosting(folder: Path) -> Iterator[None]:
    """As Pulumi's language host runs a folder: it is the working directory, and runpy puts it on the path.

    The folder above is taken off the path, where pytest has it but Pulumi does not, so that a
    program that forgets to append it fails here too. The folder's modules are forgotten afterwards.
    """
    folder = folder.resolve()
    directory, path, modules = Path.cwd(), list(sys.path), _modules_of(folder)
    hidden = {folder, folder.parent}
    sys.path[:] = [entry for entry in path if Path(entry).resolve() not in hidden]
    for name in modules:
        del sys.modules[name]
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(directory)
        sys.path[:] = path
        for name in _modules_of(folder):
            del sys.modules[name]
        sys.modules.update(modules)


def _modules_of(folder: Path) -> dict[str, Any]:
    inside = f"{folder}{os.sep}"
    return {
        name: module
        for name, module in list(sys.modules.items())
        if str(getattr(module, "__file__", None) or "").startswith(inside)
    }
