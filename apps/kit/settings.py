"""Settings from the environment: typed, frozen, and refused all at once, each with its name and rule."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

SPLIT = ","


def _listed(value: object) -> object:
    """`a,b` as its parts; the empty text has none."""
    return [part.strip() for part in value.split(SPLIT) if part.strip()] if isinstance(value, str) else value


Names = Annotated[frozenset[str], BeforeValidator(_listed)]
Addresses = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(Exception):
    """Says every variable that is missing or wrong."""


class JobSettings(BaseModel):
    """What every program of ours reads. Fields are the variables' names in lower case."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    service: str
    environment: str
    aws_region: str
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class ServiceSettings(JobSettings):
    """What every program with a port reads."""

    host: str = "0.0.0.0"  # noqa: S104 (a pod's own address; the network policy decides who gets there)
    port: Port


class ApiSettings(ServiceSettings):
    """What every program that verifies callers reads."""

    cognito_issuer: str
    cognito_jwks_url: str
    cognito_client_ids: Annotated[Names, Field(min_length=1)]


class KafkaSettings(JobSettings):
    """What every program with a topic reads. `topics` gives each catalog name its name on the brokers.

    `kafka_wakes_fetches`: the brokers answer a fetch that waits once there is a record, as Kafka does.
    """

    kafka_bootstrap: Addresses
    kafka_security: Literal["PLAINTEXT", "SASL_PLAINTEXT", "AWS_MSK_IAM"]
    kafka_username: str | None = None
    kafka_password: str | None = Field(default=None, repr=False)
    kafka_session_timeout_ms: Annotated[int, Field(ge=500)] = 45_000
    kafka_wakes_fetches: bool = True
    kafka_produces: Names
    kafka_consumes: str | None = None
    kafka_reads: Names = frozenset()
    kafka_group: str | None = None
    kafka_dead_letter: str | None = None
    topics: Mapping[str, str]


T = TypeVar("T", bound=JobSettings)


def read(cls: type[T], environ: Mapping[str, str] | None = None) -> T:
    """The settings of type `cls` in the environment. Raises `SettingsError` with all that is wrong."""
    variables = os.environ if environ is None else environ
    values: dict[str, object] = {name.lower(): value for name, value in variables.items() if value != ""}
    # An empty list is a value: it says that there are none.
    values |= {name.lower(): "" for name, value in variables.items() if value == "" and _lists(cls, name)}
    if "topics" in cls.model_fields:
        values["topics"] = _topics(variables)
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explained(error)) from None


def run(main: Callable[[], None]) -> None:
    """Runs a program; settings that are wrong end it with code 2 and all errors on standard error."""
    try:
        main()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


def _lists(cls: type[T], name: str) -> bool:
    field = cls.model_fields.get(name.lower())
    return field is not None and any(isinstance(part, BeforeValidator) for part in field.metadata)


_LISTS = ("KAFKA_PRODUCES", "KAFKA_CONSUMES", "KAFKA_READS", "KAFKA_DEAD_LETTER")


def _topics(variables: Mapping[str, str]) -> dict[str, str | None]:
    """Physical names by catalog name. The lists of names that may be used tell how each is spelt; one that
    is listed and has no name is `None`, which no setting takes."""
    listed = [variables.get(name, "") for name in _LISTS]
    names = {part.strip() for text in listed for part in text.split(SPLIT) if part.strip()}
    return {name: variables.get(_variable(name)) or None for name in sorted(names)}


def _variable(topic: str) -> str:
    return "TOPIC_" + topic.upper().replace("-", "_").replace(".", "_")


def _explained(error: ValidationError) -> str:
    lines = [f"{len(error.errors())} settings are missing or wrong:"]
    for each in error.errors(include_input=False, include_url=False):
        match each["loc"]:
            case ("topics", topic):
                lines.append(f"- {_variable(str(topic))}: is not set")
            case (name, *_):
                rule = "is not set" if each["type"] == "missing" else each["msg"]
                lines.append(f"- {str(name).upper()}: {rule}")
    return "\n".join(lines)
