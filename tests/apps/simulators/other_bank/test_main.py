"""The simulator as a process: by TLS, with a certificate wanted from whoever calls, where settings say so."""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from apps.kit.outbound import Answer, Call, NoAnswer, mutual, sender
from apps.simulators.other_bank.main import OtherBankSettings
from tests.apps.kit.certificates import Authority

PATIENCE_SECONDS = 60.0


@pytest.mark.parametrize(
    "given",
    [
        {"tls_certificate": "a.pem"},
        {"tls_certificate": "a.pem", "tls_key": "b.pem"},
        {"tls_client_ca": "c.pem"},
    ],
    ids=lambda given: "+".join(given),
)
def test_tls_is_set_up_whole_or_not_at_all(given: dict[str, str]) -> None:
    usual = {"service": "other_bank", "environment": "test", "aws_region": "sa-east-1", "port": 1}
    with pytest.raises(ValidationError, match="all three or none"):
        OtherBankSettings.model_validate(usual | given)


@pytest.mark.loopback
def test_a_bank_by_mutual_tls_answers_only_whom_its_authority_knows(tmp_path: Path) -> None:
    authority, stranger = Authority(), Authority()
    certificate, key = authority.issue("localhost")
    paths = {name: tmp_path / f"{name}.pem" for name in ("TLS_CERTIFICATE", "TLS_KEY", "TLS_CLIENT_CA")}
    for path, text in zip(paths.values(), (certificate, key, authority.pem), strict=True):
        path.write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {
        "SERVICE": "other_bank",
        "ENVIRONMENT": "test",
        "AWS_REGION": "sa-east-1",
        "LOG_LEVEL": "ERROR",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        **{name: str(path) for name, path in paths.items()},
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.simulators.other_bank.main"], env={**os.environ, **told}
    )
    try:
        call = Call("GET", f"https://localhost:{port}/directory/participants")
        ours = mutual(*authority.issue("gobanking"), authority.pem)
        answer = _answered(process, ours, call)
        issuers = [each["AuthorisationServers"][0]["Issuer"] for each in json.loads(answer.body)]
        assert len(issuers) == 5
        assert all(each.startswith(f"https://localhost:{port}/") for each in issuers)
        others = mutual(*stranger.issue("gobanking"), authority.pem)
        for context in (others, ssl.create_default_context(cadata=authority.pem)):
            with pytest.raises(NoAnswer):
                sender(context)(call, 5)
    finally:
        process.kill()
        process.wait()


def _answered(process: subprocess.Popen[bytes], context: ssl.SSLContext, call: Call) -> Answer:
    """The first answer of a process that is starting."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert process.poll() is None, "it does not start"
        try:
            return sender(context)(call, 5)
        except NoAnswer:
            if time.monotonic() > deadline:
                raise
