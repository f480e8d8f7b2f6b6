"""The AWS program as previews see it. Its folder is no package, so it goes on the path, behind everything."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "platform"
if str(PROGRAM) not in sys.path:
    sys.path.append(str(PROGRAM))

import names  # noqa: E402
import pods  # noqa: E402
import program  # noqa: E402
from apps.catalog import CATALOG, Service, environment  # noqa: E402
from base import WrongBase, checked  # noqa: E402
from configuration import read  # noqa: E402
from configuration_values import SettingsError  # noqa: E402
from edge import priority  # noqa: E402
from environments.preview.names import Refused  # noqa: E402
from environments.preview.settings import PROJECT, as_text, defaults  # noqa: E402
from revision import revision  # noqa: E402

__all__ = ["PROGRAM", "ROOT", "judge", "operators_variables", "pod_of_a_job", "priority", "run", "usable"]


def run() -> None:
    """Registers the environment of the stack that Pulumi runs, as running the folder does."""
    program.run(ROOT, CATALOG)


def usable(exported: Any, stack: str) -> Mapping[str, Any]:
    """The values of a base that a preview can stand on. Raises `Refused`, naming the key that is wrong."""
    try:
        base = checked(exported, stack)
    except WrongBase as wrong:
        raise Refused(str(wrong)) from None
    if not base["host_suffix"]:
        raise Refused(
            f"gobanking:domain of '{stack}': that base has no domain, so a preview would have no name of its "
            "own. Set gobanking:domain and gobanking:hostedZoneId there, and bring it up."
        )
    return base


def judge(configuration: Mapping[str, Any], stack: str) -> None:
    """Refuses, with all that is wrong, a configuration that the program would refuse."""
    given_revision = revision(ROOT)
    try:
        read(
            as_text({**defaults(ROOT), **configuration}),
            project=PROJECT,
            stack=stack,
            revision=given_revision,
            catalog=CATALOG,
            defaults=as_text(defaults(ROOT)),
        )
    except SettingsError as refused:
        raise Refused(str(refused)) from None


def operators_variables(
    configuration: Mapping[str, Any], base: Mapping[str, Any], prefix: str
) -> dict[str, str]:
    """What a job of the operators is told in an environment on that base."""
    stated = {**defaults(ROOT), **configuration}
    settings = {
        "environment": prefix,
        "aws_region": str(stated["aws:region"]),
        "log_level": str(stated[f"{PROJECT}:logLevel"]),
        "kafka_bootstrap": str(base["kafka_bootstrap"]),
        "kafka_security": "AWS_MSK_IAM",
        "outbox_shards": str(stated[f"{PROJECT}:outboxShards"]),
    }
    variables = environment(CATALOG, "operators", names.AwsNames(CATALOG, prefix, settings))
    return {name: str(value) for name, value in variables.items()}


def pod_of_a_job(
    service: Service, image: str, variables: Mapping[str, str], arguments: Sequence[str]
) -> dict[str, Any]:
    """The pod of a service that runs once: as restricted as the others, with nothing to probe."""
    any_port = replace(service, port=1)
    template = pods.template(any_port, names.workload(service.name), image, variables)
    container = template["spec"]["containers"][0]
    for key in ("ports", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle"):
        container.pop(key, None)
    container["args"] = list(arguments)
    # A Job's pods have no template's digest to be spread by, and there is one.
    del template["spec"]["topologySpreadConstraints"]
    template["spec"]["restartPolicy"] = "Never"
    return template
