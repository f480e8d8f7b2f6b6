"""The auditor on AWS: a Kubernetes Job with the operators' role, made for one audit and deleted after it.

The Job's manifest is the workloads' own pod, but for probes and port, which a job has none of.
"""

import json
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.catalog import Catalog
from environments.preview import bank
from environments.preview.smoke import Broken, Clock, NotRun

SERVICE = "operators"
PATIENCE_SECONDS = 300.0
PAUSE_SECONDS = 3.0
KEPT_SECONDS = 600
IMAGE = "docker-build:index:Image"

Run = Callable[[Sequence[str], str], "subprocess.CompletedProcess[str]"]
"""Runs a command with a text on its standard input."""


def manifest(
    catalog: Catalog, namespace: str, name: str, image: str, variables: Mapping[str, str]
) -> dict[str, Any]:
    """A Job that audits the ledger once and prints its report as JSON."""
    service = catalog.service(SERVICE)
    template = bank.pod_of_a_job(service, image, variables, ["audit", "--json"])
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": template["metadata"]["labels"]},
        "spec": {
            # An audit that fails has found something: another try would only hide it.
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(PATIENCE_SECONDS),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": template,
        },
    }


def image(configuration: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """Which image the operators run: the one that was given, or the one that was built. `LookupError`."""
    for each in configuration.get("gobanking:images", []):
        service, _, reference = str(each).partition("=")
        if service == SERVICE:
            return reference
    for resource in state["deployment"].get("resources", []):
        if resource["type"] == IMAGE and resource["urn"].endswith(f"-{SERVICE}"):
            return str(resource["outputs"]["ref"])
    raise LookupError(f"no image of {SERVICE} is known")


def audit(job: Mapping[str, Any], kubeconfig: str, clock: Clock, run: Run | None = None) -> str:
    """How the ledger is. Raises `Broken` when it is not sound, `NotRun` when it cannot be told from here."""
    run = run or _run
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(kubeconfig)
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        kubectl = ["kubectl", "--kubeconfig", str(path), "--namespace", namespace]

        def ask(*arguments: str, text: str = "") -> str:
            try:
                done = run([*kubectl, *arguments], text)
            except OSError as error:
                raise NotRun(f"kubectl, and the AWS CLI for its token, are needed: {error}") from None
            if done.returncode:
                raise NotRun(f"kubectl {arguments[0]}: {done.stderr.strip()[:300]}")
            return done.stdout

        ask("create", "-f", "-", text=json.dumps(job))
        try:
            return _verdict(ask, name, clock)
        finally:
            ask("delete", "job", name, "--wait=false", "--ignore-not-found")


def job_name() -> str:
    """A name that no other audit has."""
    return f"audit-{uuid.uuid4().hex[:10]}"


def _verdict(ask: Callable[..., str], name: str, clock: Clock) -> str:
    began = clock.now()
    while True:
        status = json.loads(ask("get", "job", name, "-o", "json")).get("status", {})
        if status.get("succeeded") or status.get("failed"):
            break
        if clock.now() - began > PATIENCE_SECONDS:
            raise Broken(f"its job did not end within {PATIENCE_SECONDS:.0f} s")
        clock.sleep(PAUSE_SECONDS)
    text = ask("logs", f"job/{name}")
    try:
        report = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise Broken(f"its job said no report: {text[-300:]}") from None
    if not report.get("ok"):
        raise Broken(f"the ledger is not sound: {json.dumps(report.get('drift', report))[:500]}")
    return f"{report['accounts']} accounts, sum {report['sum_cents']}, no drift"


def _run(command: Sequence[str], text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, input=text, capture_output=True, encoding="utf-8", check=False, timeout=120
    )
