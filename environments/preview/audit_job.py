"""The audit of a smoke test: the operators' Job in the preview's own cluster, and what its report means."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from environments.aws.job import Cluster, NotDone, job_name, run, run_of
from environments.aws.kubectl import ClusterFailed, NoTools, connected
from environments.clock import Clock
from environments.preview.smoke import Broken, NotRun

PATIENCE_SECONDS = 300


def audited(outputs: Mapping[str, Any]) -> str:
    """How the ledger of a stack is. Raises `Broken` when it is not sound, `NotRun` when it cannot be told
    from here."""
    job: Mapping[str, Any] = outputs["operators_job"]
    try:
        with connected(str(outputs["kubeconfig"]), job["metadata"]["namespace"]) as cluster:
            return audit(job, cluster, Clock())
    except NoTools as missing:
        raise NotRun(str(missing)) from None


def audit(job: Mapping[str, Any], cluster: Cluster, clock: Clock) -> str:
    """As `audited`, once there is a way to the cluster."""
    said: list[str] = []
    left: list[str] = []
    made = run_of(job, job_name("audit"), ["audit", "--json"], PATIENCE_SECONDS)
    try:
        run(made, cluster, said.append, left.append, clock)
    except ClusterFailed as failed:
        raise NotRun(" ".join([str(failed), *left])) from None
    except NotDone as failed:
        raise Broken(" ".join([str(failed), *left])) from None
    return _verdict(said)


def _verdict(said: Sequence[str]) -> str:
    try:
        report = json.loads(said[-1])
    except (ValueError, IndexError):
        raise Broken(f"its job said no report: {''.join(said)[-300:]}") from None
    if not report.get("ok"):
        raise Broken(f"the ledger is not sound: {json.dumps(report.get('drift', report))[:500]}")
    return f"{report['accounts']} accounts, sum {report['sum_cents']}, no drift"
