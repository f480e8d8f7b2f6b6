"""A pod is restricted, stops without losing a request, and is told what it was given and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

import pods
from apps.catalog import CATALOG, Service
from names import workload

RUNNING = [service for service in CATALOG.services if service.kind != "job"]
EACH = pytest.mark.parametrize("service", RUNNING, ids=lambda service: service.name)
UVICORN_GRACE_SECONDS = 10


def template(service: Service, **variables: str) -> dict[str, Any]:
    return pods.template(service, workload(service.name), "registry/x@sha256:1", variables)


def pod(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = template(service)["spec"]
    return found


def container(service: Service) -> dict[str, Any]:
    (found,) = pod(service)["containers"]
    assert isinstance(found, dict)
    return found


@EACH
def test_a_pod_passes_the_restricted_standard(service: Service) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    spec, only = pod(service), container(service)
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"}
    assert [set(volume) for volume in spec["volumes"]] == [{"name", "emptyDir"}]
    assert "hostPort" not in only["ports"][0]


@EACH
def test_a_pod_has_an_account_and_no_token_for_the_kubernetes_api(service: Service) -> None:
    spec = pod(service)
    assert spec["serviceAccountName"] == workload(service.name)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


@EACH
def test_the_only_place_to_write_is_a_small_tmp(service: Service) -> None:
    (mount,) = container(service)["volumeMounts"]
    (volume,) = pod(service)["volumes"]
    assert mount == {"name": volume["name"], "mountPath": "/tmp"}
    assert volume["emptyDir"] == {"sizeLimit": "64Mi"}


@EACH
def test_probes_ask_the_port_of_the_catalog(service: Service) -> None:
    only = container(service)
    assert only["ports"] == [{"name": "http", "containerPort": service.port, "protocol": "TCP"}]
    paths = {name: only[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert paths == {
        "startup": {"path": "/livez", "port": "http"},
        "liveness": {"path": "/livez", "port": "http"},
        "readiness": {"path": "/readyz", "port": "http"},
    }


@EACH
def test_requests_are_the_catalogs_and_only_memory_is_limited(service: Service) -> None:
    assert container(service)["resources"] == {
        "requests": {"cpu": f"{service.cpu_millis}m", "memory": f"{service.memory_mib}Mi"},
        "limits": {"memory": f"{service.memory_mib * 2}Mi"},
    }


@EACH
def test_the_image_says_what_is_run(service: Service) -> None:
    only = container(service)
    assert only["image"] == "registry/x@sha256:1"
    assert not only.keys() & {"command", "args"}


@EACH
def test_a_pod_that_is_called_answers_on_while_callers_notice_and_then_has_time_to_finish(
    service: Service,
) -> None:
    grace, only = pod(service)["terminationGracePeriodSeconds"], container(service)
    if service.kind == "worker":
        assert "lifecycle" not in only
        drain = 0
    else:
        drain = only["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert drain >= 10
    assert grace - drain > UVICORN_GRACE_SECONDS


@EACH
def test_pods_spread_over_zones_and_hosts_but_run_anyway(service: Service) -> None:
    spread = pod(service)["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    for each in spread:
        assert each["whenUnsatisfiable"] == "ScheduleAnyway"
        assert each["labelSelector"]["matchLabels"].items() <= template(service)["metadata"]["labels"].items()


def test_variables_are_listed_by_name_so_that_their_order_never_rolls_a_pod() -> None:
    found = template(RUNNING[0], PORT="8000", AUDIT="1", LOG="x")["spec"]["containers"][0]["env"]
    assert found == [
        {"name": "AUDIT", "value": "1"},
        {"name": "LOG", "value": "x"},
        {"name": "PORT", "value": "8000"},
    ]


def test_a_job_is_no_pod_of_a_deployment() -> None:
    with pytest.raises(ValueError, match="service 'operators' has no port, so it runs as a job"):
        template(CATALOG.service("operators"))


def test_the_pod_of_a_job_runs_once_and_is_a_workers_but_for_what_probes_and_spreads_it() -> None:
    job = CATALOG.service("operators")
    found = pods.job_template(job, "operators", "registry/x@sha256:1", {"LOG": "x"})
    like = template(replace(job, port=8000, kind="worker"), LOG="x")
    like["metadata"]["labels"] = pods.labels("operators", "job")
    del like["spec"]["topologySpreadConstraints"]
    (container,) = like["spec"]["containers"]
    for each in ("ports", "startupProbe", "livenessProbe", "readinessProbe"):
        del container[each]
    assert found == {**like, "spec": {**like["spec"], "restartPolicy": "Never"}}
