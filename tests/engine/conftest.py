"""The real engine on emulated providers, with state in a folder of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.engine.cloud import Cloud
from tests.engine.providers import serving
from tests.engine.stacks import MISSING, Workspace, pulumi_command

MakeWorkspace = Callable[[Cloud], Workspace]


@pytest.fixture(scope="module")
def make_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeWorkspace]:
    """Gives a workspace whose stacks are deployed to the cloud that it gets."""
    command = pulumi_command()
    if command is None:
        pytest.skip(MISSING)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        # A program that uses an output as if it were a value raises.
        patch.setenv("PULUMI_ERROR_OUTPUT_STRING", "1")

        def make(cloud: Cloud) -> Workspace:
            variables = stack.enter_context(serving(cloud))
            workspace = Workspace(command, tmp_path_factory.mktemp("engine"), variables)
            stack.callback(workspace.close)
            return workspace

        yield make


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def workspace(make_workspace: MakeWorkspace, cloud: Cloud) -> Workspace:
    """Where stacks are made; what they deploy is in `cloud`."""
    return make_workspace(cloud)
