"""Emulated Pulumi providers: what the engine talks to in place of plugins and the clouds behind them.

`PULUMI_DEBUG_PROVIDERS` makes the engine attach to them by port. They serve on 127.0.0.1 only, and tell a
`Cloud` what they are asked. A data source, a component or an AWS type that they do not know is an error.
"""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from tests.engine import component
from tests.engine.cloud import Call, Cloud, RefusedError
from tests.engine.differences import Change, changes, keeps_a_chosen_name
from tests.engine.sdk import PACKAGES, plugin_version
from tests.engine.wire import plain, received, sent

THREADS = 32
"""A component's children are created while its own call waits, so a few threads would be a deadlock."""

Answer = TypeVar("Answer")
Method = Callable[["Provider", Any, grpc.ServicerContext], Answer]


def _refusing(method: Method[Answer]) -> Method[Answer]:
    """Turns a refusal into the status that the engine prints."""

    @functools.wraps(method)
    def answer(provider: "Provider", request: Any, context: grpc.ServicerContext) -> Answer:
        try:
            return method(provider, request, context)
        except RefusedError as refused:
            context.abort(refused.code, str(refused))
            raise

    return answer


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One package's provider. All its instances in a program share it: the engine attaches to one port."""

    def __init__(self, package: str, cloud: Cloud) -> None:
        self.package, self.cloud = package, cloud

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> Empty:
        return Empty()

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=True
        )

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=plugin_version(self.package))

    def GetMappings(
        self, request: provider_pb2.GetMappingsRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetMappingsResponse:
        return provider_pb2.GetMappingsResponse()

    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        return Empty()

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        olds, news = received(request.old_inputs), received(request.news)
        return _difference(changes(f"pulumi:providers:{self.package}", olds, news), delete_first=False)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        inputs = plain(received(request.args))
        self.cloud.record(Call("Configure", f"pulumi:providers:{self.package}", inputs=inputs))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    @_refusing
    def Check(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        news, olds = received(request.news), received(request.olds)
        return provider_pb2.CheckResponse(
            inputs=sent(self.cloud.check(_type(request), request.urn, news, olds))
        )

    def Diff(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        olds, news = received(request.old_inputs), received(request.news)
        return _difference(changes(_type(request), olds, news), delete_first=keeps_a_chosen_name(olds, news))

    @_refusing
    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        inputs = received(request.properties)
        thing = self.cloud.create(_type(request), request.urn, inputs, preview=request.preview)
        self._record("Create", request, thing.id, preview=request.preview, inputs=plain(inputs))
        return provider_pb2.CreateResponse(id=thing.id, properties=sent(thing.outputs))

    def Read(
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        self._record("Read", request, request.id)
        thing = self.cloud.read(_type(request), request.id)
        if thing is None:  # an empty answer is how a provider says that it is gone
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=thing.id, properties=sent(thing.outputs), inputs=sent(thing.inputs)
        )

    @_refusing
    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        inputs = received(request.news)
        thing = self.cloud.update(_type(request), request.id, inputs, preview=request.preview)
        self._record("Update", request, thing.id, preview=request.preview, inputs=plain(inputs))
        return provider_pb2.UpdateResponse(properties=sent(thing.outputs))

    @_refusing
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> Empty:
        self.cloud.delete(_type(request), request.id)
        self._record("Delete", request, request.id)
        return Empty()

    @_refusing
    def Invoke(
        self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        arguments = plain(received(request.args))
        self.cloud.record(Call("Invoke", request.tok, inputs=arguments))
        return provider_pb2.InvokeResponse(**{"return": sent(self.cloud.invoke(request.tok, arguments))})

    @_refusing
    def Call(
        self, request: provider_pb2.CallRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CallResponse:
        raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, f"{request.tok!r} is not an emulated method")

    @_refusing
    def Construct(
        self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConstructResponse:
        if request.type != component.CLUSTER:
            message = f"{request.type!r} is not an emulated component"
            raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, message)
        inputs = plain(received(request.inputs))
        self.cloud.record(
            Call("Construct", request.type, request.name, preview=request.dryRun, inputs=inputs)
        )
        return component.construct(request)

    def _record(self, method: str, request: Any, resource_id: str, **more: Any) -> None:
        name = request.urn.rpartition("::")[2]
        self.cloud.record(Call(method, _type(request), name, resource_id, **more))


@contextmanager
def serving(cloud: Cloud) -> Iterator[dict[str, str]]:
    """Serves every package on a free port; gives the variable that makes an engine use them."""
    with ExitStack() as stack:
        attached = []
        for package in PACKAGES:
            pool = stack.enter_context(ThreadPoolExecutor(THREADS, thread_name_prefix=package))
            server = grpc.server(pool)
            provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(package, cloud), server)
            attached.append(f"{package}:{server.add_insecure_port('127.0.0.1:0')}")
            server.start()
            stack.callback(_stop, server)
        yield {"PULUMI_DEBUG_PROVIDERS": ",".join(attached)}


def _stop(server: grpc.Server) -> None:
    server.stop(None).wait()


def _type(request: Any) -> str:
    """The type in a URN: the last one of the chain of parents."""
    return str(request.urn).split("::")[2].rpartition("$")[2]


def _difference(found: list[Change], *, delete_first: bool) -> provider_pb2.DiffResponse:
    replaces = sorted({change.path[0] for change in found if change.replaces})
    kinds = provider_pb2.PropertyDiff.Kind
    detailed = {
        change.dotted: provider_pb2.PropertyDiff(
            kind=kinds.Value(f"{change.kind}_REPLACE" if change.replaces else change.kind), inputDiff=True
        )
        for change in found
    }
    states = provider_pb2.DiffResponse
    return provider_pb2.DiffResponse(
        changes=states.DIFF_SOME if found else states.DIFF_NONE,
        diffs=sorted({change.path[0] for change in found}),
        replaces=replaces,
        deleteBeforeReplace=delete_first and bool(replaces),
        detailedDiff=detailed,
        hasDetailedDiff=bool(found),
    )
