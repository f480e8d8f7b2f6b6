"""Settings: all that is wrong is said at once, by the variable's own name and without its value."""

import sys
from collections.abc import Callable, Mapping

import pytest
from pydantic import Field, ValidationError

from apps.kit import settings
from apps.kit.settings import ApiSettings, JobSettings, KafkaSettings, ServiceSettings, SettingsError, read

JOB = {"SERVICE": "test", "ENVIRONMENT": "local", "AWS_REGION": "sa-east-1"}
SERVICE = {**JOB, "PORT": "8000"}
API = {
    **SERVICE,
    "COGNITO_ISSUER": "https://issuer",
    "COGNITO_JWKS_URL": "https://issuer/jwks",
    "COGNITO_CLIENT_IDS": "one,two",
}
KAFKA = {
    **SERVICE,
    "KAFKA_BOOTSTRAP": "b-1:9098,b-2:9098",
    "KAFKA_SECURITY": "PLAINTEXT",
    "KAFKA_PRODUCES": "transfers,transfers.dead-letter",
    "TOPIC_TRANSFERS": "dev-transfers",
    "TOPIC_TRANSFERS_DEAD_LETTER": "dev-transfers.dead-letter",
}


def said(cls: type[JobSettings], variables: Mapping[str, str]) -> list[str]:
    """The lines about what is wrong."""
    with pytest.raises(SettingsError) as raised:
        read(cls, variables)
    first, *lines = str(raised.value).splitlines()
    assert first == f"{len(lines)} settings are missing or wrong:"
    return sorted(lines)


def test_what_is_set_is_read_by_its_name_in_lower_case() -> None:
    config = read(ApiSettings, API)
    assert (config.service, config.environment, config.aws_region) == ("test", "local", "sa-east-1")
    assert config.port == 8000
    assert config.cognito_client_ids == {"one", "two"}
    assert config.log_level == "INFO"


def test_settings_come_from_the_process_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**JOB, "SERVICE": "of the process"}.items():
        monkeypatch.setenv(name, value)
    assert read(JobSettings).service == "of the process"
    assert read(JobSettings, JOB).service == "test"


@pytest.mark.parametrize("name", JobSettings.model_fields)
def test_settings_never_change(name: str) -> None:
    config = read(JobSettings, JOB)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, name, "another")


def test_variables_of_others_are_no_concern() -> None:
    assert read(JobSettings, {**JOB, "PATH": "/bin", "PORT": "no number"}) == read(JobSettings, JOB)


class PortAndTopics(ServiceSettings, KafkaSettings):
    """What a worker with a topic reads."""


def test_all_that_is_wrong_is_said_at_once_by_name() -> None:
    wrong = {
        "SERVICE": "test",
        "AWS_REGION": "",
        "LOG_LEVEL": "LOUD",
        "PORT": "70000",
        "KAFKA_SECURITY": "NONE",
        "KAFKA_SESSION_TIMEOUT_MS": "soon",
        "KAFKA_PRODUCES": "transfers",
        "KAFKA_CONSUMES": "letters",
        "TOPIC_LETTERS": "",
    }
    lines = said(PortAndTopics, wrong)
    assert [line.partition(":")[0] for line in lines] == [
        "- AWS_REGION",
        "- ENVIRONMENT",
        "- KAFKA_BOOTSTRAP",
        "- KAFKA_SECURITY",
        "- KAFKA_SESSION_TIMEOUT_MS",
        "- LOG_LEVEL",
        "- PORT",
        "- TOPIC_LETTERS",
        "- TOPIC_TRANSFERS",
    ]
    not_set = {"- AWS_REGION", "- ENVIRONMENT", "- KAFKA_BOOTSTRAP", "- TOPIC_LETTERS", "- TOPIC_TRANSFERS"}
    assert {line.removesuffix(": is not set") for line in lines if line.endswith("is not set")} == not_set


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize("name", sorted(API.keys() - {"COGNITO_CLIENT_IDS"}))
def test_what_is_required_is_neither_unset_nor_empty(name: str, value: str | None) -> None:
    variables = {each: given for each, given in {**API, name: value}.items() if given is not None}
    assert said(ApiSettings, variables) == [f"- {name}: is not set"]


@pytest.mark.parametrize("name", ["LOG_LEVEL", "HOST"])
def test_an_empty_variable_leaves_the_default(name: str) -> None:
    assert read(ServiceSettings, {**SERVICE, name: ""}) == read(ServiceSettings, SERVICE)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "80.5", "tcp://10.0.0.1:80"])
def test_a_port_is_a_port(port: str) -> None:
    (line,) = said(ServiceSettings, {**SERVICE, "PORT": port})
    assert line.startswith("- PORT: ")


@pytest.mark.parametrize("text", ["", ",", " , "])
def test_an_empty_list_says_that_there_are_none(text: str) -> None:
    assert read(KafkaSettings, {**KAFKA, "KAFKA_PRODUCES": text}).kafka_produces == frozenset()


def test_an_unset_list_is_missing() -> None:
    variables = {name: value for name, value in KAFKA.items() if name != "KAFKA_PRODUCES"}
    assert said(KafkaSettings, variables) == ["- KAFKA_PRODUCES: is not set"]


@pytest.mark.parametrize("text", ["", " , "])
@pytest.mark.parametrize(
    ("cls", "variables", "name"),
    [
        pytest.param(ApiSettings, API, "COGNITO_CLIENT_IDS", id="clients"),
        pytest.param(KafkaSettings, KAFKA, "KAFKA_BOOTSTRAP", id="brokers"),
    ],
)
def test_a_list_that_must_have_a_member_is_not_empty(
    cls: type[JobSettings], variables: dict[str, str], name: str, text: str
) -> None:
    (line,) = said(cls, {**variables, name: text})
    assert line.startswith(f"- {name}: ")
    assert "at least 1 item" in line


def test_a_list_may_have_spaces_and_keeps_its_order() -> None:
    config = read(KafkaSettings, {**KAFKA, "KAFKA_BOOTSTRAP": " b-2:9098 , b-1:9098,"})
    assert config.kafka_bootstrap == ("b-2:9098", "b-1:9098")


def test_each_topic_that_is_listed_has_its_name_on_the_brokers() -> None:
    variables = {
        **KAFKA,
        "KAFKA_CONSUMES": "letters",
        "KAFKA_DEAD_LETTER": "transfers.dead-letter",
        "TOPIC_LETTERS": "dev-letters",
        "TOPIC_OF_SOMEBODY_ELSE": "dev-else",
    }
    assert read(KafkaSettings, variables).topics == {
        "letters": "dev-letters",
        "transfers": "dev-transfers",
        "transfers.dead-letter": "dev-transfers.dead-letter",
    }


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize("list_name", ["KAFKA_PRODUCES", "KAFKA_CONSUMES", "KAFKA_DEAD_LETTER"])
def test_a_listed_topic_without_a_name_is_missing_under_its_own_variable(
    list_name: str, value: str | None
) -> None:
    variables = {**KAFKA, list_name: "new-letters", "TOPIC_NEW_LETTERS": value}
    given = {name: text for name, text in variables.items() if text is not None}
    assert said(KafkaSettings, given) == ["- TOPIC_NEW_LETTERS: is not set"]


def test_a_secret_is_in_no_text_of_the_settings() -> None:
    config = read(KafkaSettings, {**KAFKA, "KAFKA_USERNAME": "ana", "KAFKA_PASSWORD": "hunter2"})
    assert config.kafka_password == "hunter2"
    for text in (repr(config), str(config), f"{config}"):
        assert "ana" in text
        assert "hunter2" not in text


class NumberedSettings(JobSettings):
    """A setting of which a wrong value may be a secret in the wrong place."""

    limit: int = Field(gt=5)


@pytest.mark.parametrize("value", ["hunter2", "-77123"])
def test_a_wrong_value_is_never_repeated(value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(NumberedSettings, {**JOB, "LIMIT": value, "LOG_LEVEL": value})
    assert str(raised.value).count("\n- ") == 2
    assert value not in str(raised.value)
    assert raised.value.__suppress_context__, "pydantic's own error, which quotes the value, is not shown"


def reads_settings() -> None:
    read(ServiceSettings, {"SERVICE": "test"})


def ends_well() -> None:
    sys.stdout.write("worked\n")


def test_a_program_with_wrong_settings_exits_with_2_and_says_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        settings.run(reads_settings)
    assert raised.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "3 settings are missing or wrong:",
        "- ENVIRONMENT: is not set",
        "- AWS_REGION: is not set",
        "- PORT: is not set",
    ]


def test_a_program_that_works_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    settings.run(ends_well)
    assert capsys.readouterr() == ("worked\n", "")


def breaks() -> None:
    raise ValueError


def test_any_other_error_is_not_called_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    program: Callable[[], None] = breaks
    with pytest.raises(ValueError):
        settings.run(program)
    assert capsys.readouterr().err == ""
