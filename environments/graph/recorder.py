"""Stands where the Pulumi engine stands: takes what a program registers, answers as a cloud would.

It speaks the engine's protocol (`pulumi/resource.proto`), not the SDK's mocks, because those show a
test neither parents nor options, run no transform and let two resources have one URN. Resource
references are not among the features it claims: a resource given as an input arrives as its id or
URN, and no test waits on another loop's futures (pulumi/pulumi#6561).
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import callback_pb2, engine_pb2, resource_pb2

from environments.graph.transforms import transformed
from environments.graph.wire import Placed, Reference, Secret, opened, plain, struct

STACK = "pulumi:pulumi:Stack"
STACK_REFERENCE = "pulumi:pulumi:StackReference"
GET_RESOURCE = "pulumi:pulumi:getResource"

FEATURES = [
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACEMENT_TRIGGER,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_TRANSFORMS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS,
]


@dataclass(frozen=True)
class Asked:
    """What a computed output may depend on: no more than a cloud sees."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    remote: bool


Computed = Callable[[Asked], Mapping[str, Any]]
"""The outputs that the cloud adds to a resource's inputs, its `id` among them."""

Data = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What a data source answers to its arguments."""


@dataclass(frozen=True)
class Invoke:
    """One data source that the program read."""

    token: str
    args: Mapping[str, Any]
    provider: str | None


Request = resource_pb2.RegisterResourceRequest | resource_pb2.ReadResourceRequest


@dataclass
class Registered:
    """A request as the transforms left it, and what was answered."""

    request: Request
    id: str
    state: struct_pb2.Struct
    outputs: struct_pb2.Struct | None = None


@dataclass(frozen=True)
class Hidden:
    """A resource inside a remote component: the program reaches it, the program's graph does not hold it."""

    owner: str
    id: str
    state: struct_pb2.Struct


@dataclass
class Recorder:
    """A resource monitor. Its methods are called from worker threads."""

    project: str
    stack: str
    preview: bool
    computed: Computed
    data: Mapping[str, Data]
    stack_outputs: Mapping[str, Mapping[str, Any]]
    registered: dict[str, Registered] = field(default_factory=dict)
    hidden: dict[str, Hidden] = field(default_factory=dict)
    invokes: list[Invoke] = field(default_factory=list)
    _stack_transforms: list[callback_pb2.Callback] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def urn(self, parent: str, type_: str, name: str) -> str:
        """As the engine makes it: the types of the parents, but not the stack's."""
        above = parent.split("::")[2] if parent else STACK
        qualified = type_ if above == STACK else f"{above}${type_}"
        return f"urn:pulumi:{self.stack}::{self.project}::{qualified}::{name}"

    def RegisterResource(  # noqa: N802
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        if not re.fullmatch(r"[^:]+:[^:]*:[^:]+", request.type):
            raise ValueError(f"{request.name}: {request.type} is not a type token, pkg:module:Type")
        request = transformed(request, self._transforms(request))
        urn = self.urn(request.parent, request.type, request.name)
        taken = self._take(urn, Registered(request, request.importId, request.object))
        if request.custom or request.remote:
            self._answer(urn, taken, request)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=taken.id, object=taken.state)

    def RegisterResourceOutputs(  # noqa: N802
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> empty_pb2.Empty:
        self.registered[request.urn].outputs = request.outputs
        return empty_pb2.Empty()

    def ReadResource(  # noqa: N802
        self, request: resource_pb2.ReadResourceRequest
    ) -> resource_pb2.ReadResourceResponse:
        urn = self.urn(request.parent, request.type, request.name)
        taken = self._take(urn, Registered(request, request.id, request.properties))
        if request.type == STACK_REFERENCE:
            taken.state = self._referenced(request.id)
        elif not self.preview:
            self._answer(urn, taken, request)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=taken.state)

    def Invoke(  # noqa: N802
        self, request: resource_pb2.ResourceInvokeRequest
    ) -> resource_pb2.ResourceInvokeResponse:
        args, _ = plain(request.args)
        if request.tok == GET_RESOURCE:
            return _returned(self._looked_up(args["urn"]))
        if request.tok not in self.data:
            raise LookupError(f"no answer is known for the data source {request.tok}")
        provider = request.provider.rpartition("::")[0] or None
        self.invokes.append(Invoke(request.tok, args, provider))
        return _returned(struct(self.data[request.tok](args)))

    def Call(self, request: resource_pb2.ResourceCallRequest) -> None:  # noqa: N802
        raise NotImplementedError(f"no answer is known for the method {request.tok}")

    def RegisterStackTransform(self, request: callback_pb2.Callback) -> empty_pb2.Empty:  # noqa: N802
        self._stack_transforms.append(request)
        return empty_pb2.Empty()

    def RegisterResourceHook(self, _: object) -> empty_pb2.Empty:  # noqa: N802
        return empty_pb2.Empty()

    def RegisterErrorHook(self, _: object) -> empty_pb2.Empty:  # noqa: N802
        return empty_pb2.Empty()

    def GetDeploymentInfo(self, _: object) -> resource_pb2.DeploymentInfo:  # noqa: N802
        return resource_pb2.DeploymentInfo(supportedFeatures=FEATURES)

    def SignalAndWaitForShutdown(self, _: object) -> empty_pb2.Empty:  # noqa: N802
        return empty_pb2.Empty()

    def _transforms(self, request: resource_pb2.RegisterResourceRequest) -> list[callback_pb2.Callback]:
        found = list(request.transforms)
        parent = self.registered.get(request.parent)
        while parent is not None:
            found += getattr(parent.request, "transforms", [])
            parent = self.registered.get(parent.request.parent)
        return [*found, *self._stack_transforms]

    def _take(self, urn: str, new: Registered) -> Registered:
        with self._lock:
            if urn in self.registered:
                raise ValueError(f"duplicate resource URN {urn}")
            self.registered[urn] = new
        return new

    def _answer(self, urn: str, taken: Registered, request: Request) -> None:
        """Adds what the cloud computes. A preview has none of it: the SDK then takes it for unknown."""
        if self.preview:
            return
        inputs, _ = plain(taken.state)
        remote = getattr(request, "remote", False)
        outputs = dict(self.computed(Asked(request.type, request.name, inputs, remote)))
        found = outputs.pop("id", "")
        taken.id = taken.id or str(found)
        for name in set(request.additionalSecretOutputs) & set(outputs):
            outputs[name] = Secret(outputs[name])
        state = type(taken.state)()
        state.CopyFrom(taken.state)
        state.MergeFrom(struct({name: self._placed(urn, value) for name, value in outputs.items()}))
        taken.state = state

    def _placed(self, owner: str, value: Any) -> Any:
        """Gives the resources inside a remote component their URNs."""
        match value:
            case Reference():
                urn = self.urn(owner, value.type, value.name)
                state = struct({name: self._placed(owner, item) for name, item in value.state.items()})
                self.hidden[urn] = Hidden(owner, value.id, state)
                return Placed(urn, value.id)
            case Mapping():
                return {key: self._placed(owner, item) for key, item in value.items()}
            case list() | tuple():
                return [self._placed(owner, item) for item in value]
            case _:
                return value

    def _looked_up(self, urn: str) -> struct_pb2.Struct:
        found = self.hidden.get(urn) or self.registered.get(urn)
        if found is None:
            raise LookupError(f"unknown resource {urn}")
        answer = struct({"urn": urn, "id": found.id})
        answer.fields["state"].struct_value.CopyFrom(found.state)
        return answer

    def _referenced(self, stack: str) -> struct_pb2.Struct:
        """A stack's outputs, as the engine hands them to a `StackReference`, in a preview too."""
        if stack not in self.stack_outputs:
            raise LookupError(f"no outputs are known for the stack {stack}")
        outputs = self.stack_outputs[stack]
        names = [name for name, value in outputs.items() if opened(value) != value]
        return struct({"name": stack, "outputs": outputs, "secretOutputNames": sorted(names)})


def _returned(answer: struct_pb2.Struct) -> resource_pb2.ResourceInvokeResponse:
    return resource_pb2.ResourceInvokeResponse(**{"return": answer})


@dataclass
class Console:
    """The engine's other half: what a program logs. Debugging messages are dropped."""

    messages: list[str] = field(default_factory=list)

    def Log(self, request: engine_pb2.LogRequest) -> empty_pb2.Empty:  # noqa: N802
        if request.severity >= engine_pb2.WARNING:
            self.messages.append(request.message)
        return empty_pb2.Empty()
