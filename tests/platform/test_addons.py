"""Add-ons: pinned, and the CloudWatch one told in full what to collect."""

import json
import re
from typing import Any

import pytest

from addons import APPLICATION_LOGS, log_kinds, observability
from tests.platform.cluster_program import ADDON, SETTINGS, cluster_graph
from versions import VERSIONS

both = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])


def collected(container_insights: bool) -> dict[str, Any]:
    configuration = json.loads(observability(container_insights))
    found: dict[str, Any] = configuration["agent"]["config"]["logs"]["metrics_collected"]
    return found


@both
def test_every_addon_has_the_version_that_is_pinned_for_the_cluster(preview: bool) -> None:
    pinned = VERSIONS[SETTINGS.version]
    given = {
        node.inputs["addonName"]: node.inputs["addonVersion"]
        for node in cluster_graph(preview=preview).of_type(ADDON)
    }
    assert given == {
        "coredns": pinned.coredns,
        "metrics-server": pinned.metrics_server,
        "eks-pod-identity-agent": pinned.eks_pod_identity_agent,
        "eks-node-monitoring-agent": pinned.eks_node_monitoring_agent,
        "amazon-cloudwatch-observability": pinned.amazon_cloudwatch_observability,
    }


@both
def test_an_addon_takes_over_what_it_finds(preview: bool) -> None:
    """NONE, the default, fails on a field that somebody changed with kubectl."""
    for node in cluster_graph(preview=preview).of_type(ADDON):
        assert node.inputs["resolveConflictsOnCreate"] == "OVERWRITE"
        assert node.inputs["resolveConflictsOnUpdate"] == "OVERWRITE"
        assert "preserve" not in node.inputs, "a removed add-on leaves no pods"


@both
@pytest.mark.parametrize("insights", [False, True], ids=["without insights", "with insights"])
def test_the_cluster_has_the_cloudwatch_addon_whatever_the_setting(preview: bool, insights: bool) -> None:
    graph = cluster_graph(preview=preview, insights=insights)
    addon = graph.one(ADDON, "cluster-addons-amazon-cloudwatch-observability")
    assert addon.inputs["configurationValues"] == observability(insights)


def test_insights_are_off_unless_asked_for_and_the_metrics_port_is_open_anyway() -> None:
    assert collected(False) == {"emf": {}}
    assert collected(True) == {"emf": {}, "kubernetes": {"enhanced_container_insights": True}}
    assert log_kinds(False) == ("application", "dataplane", "host")
    assert log_kinds(True) == ("application", "dataplane", "host", "performance")


@pytest.mark.parametrize("insights", [False, True])
def test_nothing_is_put_into_the_banks_processes(insights: bool) -> None:
    manager = json.loads(observability(insights))["manager"]
    assert manager == {"applicationSignals": {"autoMonitor": {"monitorAllServices": False}}}


@pytest.mark.parametrize("insights", [False, True])
def test_fluent_bit_gets_our_file(insights: bool) -> None:
    logs = json.loads(observability(insights))["containerLogs"]
    files = {"application-log.conf": APPLICATION_LOGS}
    assert logs == {"enabled": True, "fluentBit": {"config": {"extraFiles": files}}}


def sections() -> list[tuple[str, dict[str, str]]]:
    """Fluent Bit's classic format: a section, and keys with values to the end of the line."""
    found: list[tuple[str, dict[str, str]]] = []
    for line in APPLICATION_LOGS.splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            found.append((header[1], {}))
        elif line:
            key, value = line.split(maxsplit=1)
            assert line.startswith("    "), line
            found[-1][1][key] = value
    return found


def outputs() -> dict[str, dict[str, str]]:
    return {keys["Match"]: keys for kind, keys in sections() if kind == "OUTPUT"}


def test_lines_with_metrics_leave_as_they_were_printed() -> None:
    """CloudWatch finds no metrics in a line that is wrapped in the pod's labels."""
    (rule,) = [keys for _, keys in sections() if keys["Name"] == "rewrite_tag"]
    key, pattern, tag, keep = rule["Rule"].split()
    assert key == "$log_processed['_aws']['CloudWatchMetrics'][0]['Namespace']"
    assert re.search(pattern, "GoBanking")
    assert (tag, keep) == ("emf.$TAG", "false"), "kept, a line would be stored and counted twice"
    assert rule["Match"] == "application.*"
    emf = outputs()["emf.*"]
    assert (emf["log_key"], emf["log_format"]) == ("log", "json/emf")


def test_the_rule_comes_after_the_filter_that_parses_the_line() -> None:
    filters = [keys for kind, keys in sections() if kind == "FILTER"]
    assert [keys["Name"] for keys in filters] == ["kubernetes", "rewrite_tag"]
    assert filters[0]["Merge_Log_Key"] == "log_processed"
    assert filters[0]["Merge_Log"] == "On"


def test_both_kinds_of_line_go_to_the_group_that_we_made() -> None:
    assert set(outputs()) == {"emf.*", "application.*"}
    for keys in outputs().values():
        assert keys["log_group_name"] == "/aws/containerinsights/${CLUSTER_NAME}/application"
        assert keys["auto_create_group"] == "false"


def test_fluent_bit_does_not_read_what_it_writes_itself() -> None:
    (source,) = [keys for kind, keys in sections() if kind == "INPUT"]
    excluded = source["Exclude_Path"].split(", ")
    assert "/var/log/containers/fluent-bit*" in excluded
    assert "/var/log/containers/cloudwatch-agent*" in excluded


def test_helm_finds_no_template_in_the_file() -> None:
    """The add-on renders it as one."""
    assert "{{" not in APPLICATION_LOGS
