"""The clouds behind the emulated providers: what exists there, and every call that was made, in order."""

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import grpc

from tests.engine.answers import ARNS, DEFAULT_ARN, IDS, NAMES, VOLATILE, Facts
from tests.engine.data_sources import DATA_SOURCES, DataSource
from tests.engine.outputs import outputs
from tests.engine.sdk import shape
from tests.engine.wire import UNKNOWN, Properties, is_object, object_at, plain


class RefusedError(Exception):
    """What a provider answers instead of a result."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Call:
    """One call of the engine. `inputs` are without wrappers; `name` is the name in the program."""

    method: str
    type: str
    name: str = ""
    id: str = ""
    preview: bool = False
    inputs: Properties = field(default_factory=dict)


@dataclass
class Thing:
    """Something that exists."""

    urn: str
    id: str
    seed: str
    inputs: Properties
    outputs: Properties
    version: int = 1


class Cloud:
    """All providers' objects. Equal programs on a fresh cloud get equal ids, ARNs and names.

    It does not merge a provider's default tags into `tagsAll`, and knows nothing of one object that
    depends on another: the order of calls is for the test to judge.
    """

    def __init__(
        self,
        region: str = "sa-east-1",
        account: str = "123456789012",
        data_sources: Mapping[str, DataSource] | None = None,
    ) -> None:
        self.region, self.account = region, account
        self.data_sources = {**DATA_SOURCES, **(data_sources or {})}
        self.calls: list[Call] = []
        self.things: dict[tuple[str, str], Thing] = {}
        self._created: Counter[str] = Counter()
        self._lock = threading.Lock()

    def record(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)

    def called(self, method: str, *, preview: bool = False) -> list[str]:
        """The names in the program of the resources that this was called for, in order."""
        return [call.name for call in self.calls if call.method == method and call.preview == preview]

    def check(self, resource_type: str, urn: str, news: Properties, olds: Properties) -> Properties:
        """The inputs, with the physical name that the provider makes up where the program gives none."""
        package = resource_type.split(":", maxsplit=1)[0]
        known = shape(resource_type)
        if known is None and package != "kubernetes":
            message = f"{package} has no resource type {resource_type!r}"
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)
        logical = urn.rpartition("::")[2]
        made_up = f"{logical[:24]}-{self._seed(urn)[:7]}"
        if package == "kubernetes":
            return _named_object(news, olds, made_up)
        named = known is not None and known.computed.get("name") is str and "name" in known.inputs
        if package != "aws" or not named or news.keys() & {"name", "namePrefix"}:
            return news
        name = f"alias/{made_up}" if resource_type == "aws:kms/alias:Alias" else made_up
        kept = olds["name"] if "name" in olds.get("__defaults", []) else name
        return {**news, "name": kept, "__defaults": ["name"]}

    def create(self, resource_type: str, urn: str, inputs: Properties, *, preview: bool) -> Thing:
        """In a preview nothing exists afterwards, and what is computed is unknown."""
        with self._lock:
            seed = self._seed(urn)
            facts = self._facts(resource_type, urn, seed, inputs)
            if preview:
                return Thing(urn, "", seed, inputs, outputs(facts, inputs, lambda _key, _template: UNKNOWN))
            if (resource_type, facts.id) in self.things:
                message = f"{resource_type} {facts.id!r} already exists"
                raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, message)
            made = outputs(facts, inputs, lambda _key, template: facts.render(template))
            thing = Thing(urn, facts.id, seed, inputs, made)
            self.things[resource_type, facts.id] = thing
            self._created[urn] += 1
            return thing

    def update(self, resource_type: str, resource_id: str, inputs: Properties, *, preview: bool) -> Thing:
        """Computed values stay, but for those that every update changes."""
        with self._lock:
            old = self._existing(resource_type, resource_id)
            version = old.version + 1
            facts = self._facts(resource_type, old.urn, old.seed, inputs, version)
            volatile = VOLATILE.get(resource_type, "").split()

            def value(key: str, template: Any) -> Any:
                return UNKNOWN if preview and key in volatile else facts.render(template)

            thing = Thing(old.urn, old.id, old.seed, inputs, outputs(facts, inputs, value), version)
            if not preview:
                self.things[resource_type, resource_id] = thing
            return thing

    def read(self, resource_type: str, resource_id: str) -> Thing | None:
        return self.things.get((resource_type, resource_id))

    def delete(self, resource_type: str, resource_id: str) -> None:
        with self._lock:
            self._existing(resource_type, resource_id)
            del self.things[resource_type, resource_id]

    def invoke(self, token: str, arguments: Properties) -> Properties:
        if token not in self.data_sources:
            message = f"{token!r} is not an emulated data source: add it in tests/engine/data_sources.py"
            raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, message)
        return self.data_sources[token](arguments, self.region, self.account)

    def _seed(self, urn: str) -> str:
        return hashlib.sha256(f"{urn}#{self._created[urn]}".encode()).hexdigest()

    def _existing(self, resource_type: str, resource_id: str) -> Thing:
        if (resource_type, resource_id) not in self.things:
            message = f"{resource_type} {resource_id!r} does not exist"
            raise RefusedError(grpc.StatusCode.NOT_FOUND, message)
        return self.things[resource_type, resource_id]

    def _facts(self, resource_type: str, urn: str, seed: str, inputs: Properties, version: int = 1) -> Facts:
        given = plain(inputs)
        name = given.get(NAMES.get(resource_type, "name"), urn.rpartition("::")[2])
        region = given.get("region", self.region)
        facts = Facts(resource_type, name, seed, version, region, self.account, given)
        if resource_type.startswith("kubernetes:"):
            metadata = object_at(given, "metadata")
            parts = (metadata.get("namespace"), metadata.get("name", name))
            return replace(facts, id="/".join(part for part in parts if part))
        own_id = IDS.get(resource_type, "{kind}-{hex}")
        arn = ARNS.get(resource_type, DEFAULT_ARN)
        if own_id == "{arn}":
            made = replace(facts, id=seed[:17]).render(arn)
            return replace(facts, id=made, arn=made)
        facts = replace(facts, id=facts.render(own_id))
        return replace(facts, arn=facts.render(arn))


def _named_object(news: Properties, olds: Properties, made_up: str) -> Properties:
    """A Kubernetes object with a name; the annotation is how the provider knows that it chose it."""
    metadata, old = object_at(news, "metadata"), object_at(olds, "metadata")
    if not is_object(news.get("metadata")) or metadata.keys() & {"name", "generateName"}:
        return news
    mark = {"pulumi.com/autonamed": "true"}
    ours = mark.items() <= object_at(old, "annotations").items()
    annotations = {**object_at(metadata, "annotations"), **mark}
    named = {**metadata, "name": old["name"] if ours else made_up, "annotations": annotations}
    return {**news, "metadata": named}
