"""The operators' commands on a stack's own bank: started there as a Job, by their deployed image and role."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from environments.aws.job import NotDone, job_name, run, run_of
from environments.aws.kubectl import ClusterFailed, NoTools, connected
from environments.clock import Clock
from environments.preview.names import Refused
from environments.preview.pulumi_cli import PulumiCli, PulumiFailed, find

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = "operators"
OUTPUTS = {OPERATORS: "operators_job", "repair_ledger": "repair_job"}
"""Under which name a stack exports the Job of each."""
NO_SUCH, AWAY, STOPPED = 2, 3, 130
"""Exit codes of our own: no such stack, or no command for it; something does not answer; Ctrl-C."""
NO_ROLE = ("NoCredentialsError", "CredentialRetrievalError")
said = Console(stderr=True, soft_wrap=True)


def operated(stack: str, arguments: Sequence[str], service: str = OPERATORS) -> int:
    """Runs one command of the operators, or of another job's service, on the bank of a stack, whose output is
    ours; gives its exit code, or one of ours with a message."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        return _run(stack, arguments, service)
    except (Refused, NoTools) as refused:
        return _told(str(refused), NO_SUCH)
    except (NotDone, ClusterFailed, PulumiFailed) as failed:
        return _told(f"{stack}: {failed}", AWAY)
    except KeyboardInterrupt:
        return _told("Stopped.", STOPPED)


def outputs(stack: str, cli: PulumiCli, folder: Path, service: str = OPERATORS) -> tuple[dict[str, Any], str]:
    """The Job that a stack's operators, or another job's service, run as, and its kubeconfig. Raises
    `Refused` or `PulumiFailed`."""
    try:
        found = cli.revealed(folder, stack)
    except PulumiFailed as failed:
        raise explained(stack, failed) from None
    job, kubeconfig = found.get(OUTPUTS[service]), found.get("kubeconfig")
    if not job or not kubeconfig:
        raise Refused(
            f"--stack '{stack}': it exports no {OUTPUTS[service]}: it is not up, or came up before there was "
            "one. Bring it up to date: pulumi up (a preview: gobank preview up)."
        )
    return job, kubeconfig


def where_log_lines_are(kubeconfig: str, transfer_id: str) -> str:
    """What a trace on AWS leaves out, and how to see it."""
    group = f"/aws/containerinsights/{json.loads(kubeconfig)['current-context']}/application"
    pattern = shlex.quote(f'"{transfer_id}"')
    return (
        "Log lines are not part of a trace on AWS: the operators' role may not read them. By your own rights "
        f"you may: aws logs filter-log-events --log-group-name {group} --filter-pattern {pattern}"
    )


def explained(stack: str, failed: PulumiFailed) -> Refused | PulumiFailed:
    """What Pulumi's failure to read a stack means."""
    text = str(failed)
    if "no stack named" in text:
        return Refused(f"--stack '{stack}': there is no such stack. `pulumi stack ls` lists them.")
    if "passphrase" in text or "decrypt" in text:
        return Refused(
            f"--stack '{stack}': its secrets cannot be read, kubeconfig among them. Set "
            f"PULUMI_CONFIG_PASSPHRASE, or take credentials for the key that encrypts them. ({text[:300]})"
        )
    return PulumiFailed(
        f"the stack's state cannot be read. Check `pulumi login` or PULUMI_BACKEND_URL, and your credentials "
        f"for it. ({text[:300]})"
    )


def _run(stack: str, arguments: Sequence[str], service: str) -> int:
    if not stack:
        raise Refused("--stack '': must be the name of a stack; `pulumi stack ls` lists them.")
    job, kubeconfig = outputs(stack, PulumiCli(find(ROOT), {}), ROOT, service)
    made = run_of(job, job_name(service), arguments)
    name, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
    roleless = False

    def write(line: str) -> None:
        nonlocal roleless
        roleless = roleless or any(each in line for each in NO_ROLE)
        sys.stdout.write(line)
        sys.stdout.flush()

    with connected(kubeconfig, namespace) as cluster:
        _say(f"Job {name} in {namespace}", "dim")
        try:
            code = run(made, cluster, write, lambda left: _say(left, "red"), Clock())
        except BrokenPipeError:
            # Whoever read it has seen enough; nor may the interpreter's own last flush complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
    if roleless:
        account = made["spec"]["template"]["spec"]["serviceAccountName"]
        _say(f"The pod got no role. Is there a Pod Identity association for {namespace}/{account}?", "red")
    if code == 0 and arguments[:1] == ("trace",):
        _say(where_log_lines_are(kubeconfig, arguments[-1]), "dim")
    return code


def _told(message: str, code: int) -> int:
    _say(message, "red")
    return code


def _say(message: str, style: str) -> None:
    said.print(message, style=style, highlight=False, markup=False)
