"""`kubectl` on one stack's cluster, and what its refusals mean in words.

The kubeconfig asks the AWS CLI for a token by the caller's own credentials, so both commands are needed.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ANSWER_SECONDS = 20
"""After it a cluster counts as one that does not answer."""
PATIENCE_SECONDS = 120.0
"""Longer than kubectl itself ever waits for an answer, its token included."""
TOLD_CHARACTERS = 400
MEANINGS = (
    (
        ("getting credentials", "executable aws"),
        "the AWS CLI gives no token for it. Are there credentials here? `aws sts get-caller-identity`",
    ),
    (
        ("Unauthorized", "must be logged in", "orbidden"),
        "the cluster does not let you. Is your role one of gobanking:adminRoles, or has it an access entry?",
    ),
    (
        ("Unable to connect", "dial tcp", "i/o timeout", "no such host", "deadline exceeded", "refused"),
        "the cluster does not answer. Is this machine within gobanking:clusterApiCidrs, and is the stack up?",
    ),
)
"""What is in kubectl's own words, and what to look at then. The first that fits."""


class NoTools(Exception):  # noqa: N818
    """A command is missing on this machine. Nothing was done."""


class ClusterFailed(Exception):  # noqa: N818
    """The cluster does not answer, or not as it was asked to."""


@dataclass(frozen=True)
class Kubectl:
    """Runs in one namespace, by a kubeconfig file."""

    kubeconfig: Path
    namespace: str

    def ask(self, *arguments: str, text: str = "") -> str:
        """What it says, `text` being its input. Raises `NoTools`, `ClusterFailed`."""
        command = [*self._command(), f"--request-timeout={ANSWER_SECONDS}s", *arguments]
        try:
            done = subprocess.run(
                command,
                input=text,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=PATIENCE_SECONDS,
                check=False,
                # A Ctrl-C is ours to answer: it must not end kubectl in the middle of a deletion.
                start_new_session=True,
            )
        except OSError as error:
            raise NoTools(missing("kubectl", error.strerror or "")) from None
        except subprocess.TimeoutExpired:
            raise ClusterFailed(f"kubectl {arguments[0]}: no answer in {PATIENCE_SECONDS:.0f} s") from None
        if done.returncode:
            raise ClusterFailed(f"kubectl {arguments[0]}: {meaning(done.stderr)}")
        return done.stdout

    def lines(self, *arguments: str) -> Generator[str]:
        """What it says, line by line as it comes, until it ends; whether it ended well is not told."""
        process = subprocess.Popen(
            [*self._command(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            yield from process.stdout
        finally:
            process.kill()
            process.stdout.close()
            process.wait()

    def _command(self) -> list[str]:
        return ["kubectl", "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace]


@contextmanager
def connected(kubeconfig: str, namespace: str) -> Iterator[Kubectl]:
    """kubectl on the cluster of a kubeconfig, which is a file for nobody else and for so long. Raises
    `NoTools`."""
    for command in ("kubectl", "aws"):
        if shutil.which(command) is None:
            raise NoTools(missing(command, "there is none on PATH"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(kubeconfig)
        yield Kubectl(path, namespace)


def missing(command: str, why: str) -> str:
    """How to get what is not there."""
    return (
        f"kubectl, and the AWS CLI for its token, are needed; {command}: {why}. Install them: "
        "https://kubernetes.io/docs/tasks/tools, https://aws.amazon.com/cli."
    )


def meaning(text: str) -> str:
    """What kubectl's complaint means where that is known, and the complaint."""
    # The end: what the AWS CLI has to say, which may be its whole manual, comes first.
    told = " ".join(text.split())[-TOLD_CHARACTERS:]
    for words, meant in MEANINGS:
        if any(word in text for word in words):
            return f"{meant} ({told})"
    return told or "it failed without a word"
