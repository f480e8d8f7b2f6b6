"""Runs a program's transforms the way the engine does: over the program's own callback server.

The order is the engine's (`pkg/resource/deploy/source_eval.go`): those of the resource, of its
parents from the nearest up, and of the stack.
"""

from collections.abc import Iterable

import grpc
from pulumi.runtime.proto import callback_pb2, callback_pb2_grpc, resource_pb2

Register = resource_pb2.RegisterResourceRequest
Options = resource_pb2.TransformResourceOptions

# The same option is spelled twice: in the request to register, and in what a transform gets.
LISTS = {
    "dependencies": "depends_on",
    "ignoreChanges": "ignore_changes",
    "replaceOnChanges": "replace_on_changes",
    "additionalSecretOutputs": "additional_secret_outputs",
    "aliases": "aliases",
}
TEXTS = {"provider": "provider", "deletedWith": "deleted_with", "version": "version"}
MAYBE = {"protect": "protect", "retainOnDelete": "retain_on_delete"}


def transformed(request: Register, callbacks: Iterable[callback_pb2.Callback]) -> Register:
    """The request as the transforms leave it; the request itself when there are none."""
    for callback in callbacks:
        asked = resource_pb2.TransformRequest(
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent,
            properties=request.object,
            options=_options(request),
        )
        answer = _ask(callback, asked)
        changed = Register()
        changed.CopyFrom(request)
        if answer.HasField("properties"):
            changed.object.CopyFrom(answer.properties)
        if answer.HasField("options"):
            _take(changed, answer.options)
        request = changed
    return request


def _ask(
    callback: callback_pb2.Callback, asked: resource_pb2.TransformRequest
) -> resource_pb2.TransformResponse:
    with grpc.insecure_channel(callback.target) as channel:
        stub = callback_pb2_grpc.CallbacksStub(channel)
        try:
            answer = stub.Invoke(
                callback_pb2.CallbackInvokeRequest(token=callback.token, request=asked.SerializeToString()),
                timeout=30,
            )
        except grpc.RpcError as error:
            raise RuntimeError(f"a transform of {asked.name} failed: {error}") from error
    made: resource_pb2.TransformResponse = resource_pb2.TransformResponse.FromString(answer.response)
    return made


def _options(request: Register) -> Options:
    options = Options(providers=request.providers)
    for ours, theirs in LISTS.items():
        getattr(options, theirs).extend(getattr(request, ours))
    for ours, theirs in TEXTS.items():
        setattr(options, theirs, getattr(request, ours))
    for ours, theirs in MAYBE.items():
        if request.HasField(ours):  # type: ignore[arg-type]
            setattr(options, theirs, getattr(request, ours))
    if request.deleteBeforeReplaceDefined:
        options.delete_before_replace = request.deleteBeforeReplace
    if request.HasField("customTimeouts"):
        options.custom_timeouts.CopyFrom(request.customTimeouts)
    return options


def _take(request: Register, options: Options) -> None:
    for ours, theirs in LISTS.items():
        request.ClearField(ours)  # type: ignore[arg-type]
        getattr(request, ours).extend(getattr(options, theirs))
    for ours, theirs in TEXTS.items():
        setattr(request, ours, getattr(options, theirs))
    for ours, theirs in MAYBE.items():
        request.ClearField(ours)  # type: ignore[arg-type]
        if options.HasField(theirs):  # type: ignore[arg-type]
            setattr(request, ours, getattr(options, theirs))
    request.deleteBeforeReplaceDefined = options.HasField("delete_before_replace")
    request.deleteBeforeReplace = options.delete_before_replace
    request.ClearField("customTimeouts")
    if options.HasField("custom_timeouts"):
        request.customTimeouts.CopyFrom(options.custom_timeouts)
    request.ClearField("providers")
    request.providers.update(options.providers)
