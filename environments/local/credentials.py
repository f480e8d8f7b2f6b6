"""Serves each service the keys of its own role, as Pod Identity does: by URL and token file.

botocore reads `AWS_CONTAINER_CREDENTIALS_FULL_URI`, sends the token of
`AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`, and asks again before the keys expire.
"""

import hmac
import json
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from environments.local.names import ACCOUNT, role_name

LIFE_SECONDS = 3600
Keys = dict[str, str]


def role_keys(sts: Any, service: str, life_seconds: int) -> Keys:
    """Fresh keys of a service's role, by an STS client, in the shape that botocore reads."""
    answer = sts.assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role_name(service)}",
        RoleSessionName=service.replace("_", "-"),
        DurationSeconds=life_seconds,
    )["Credentials"]
    return {
        "AccessKeyId": answer["AccessKeyId"],
        "SecretAccessKey": answer["SecretAccessKey"],
        "Token": answer["SessionToken"],
        "Expiration": (datetime.now(UTC) + timedelta(seconds=life_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class Credentials:
    """The endpoint on 127.0.0.1. `issue` makes keys for a service; each service has a token of its own."""

    def __init__(self, folder: Path, issue: Callable[[str], Keys]) -> None:
        self._folder = folder
        self._issue = issue
        self._tokens: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="credentials", daemon=True)

    def start(self) -> None:
        """Begins to answer."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()

    def variables(self, service: str) -> dict[str, str]:
        """What tells botocore where a service's keys are. Writes its token, readable by this user alone."""
        token = self._tokens.setdefault(service, secrets.token_urlsafe(32))
        path = self._folder / service
        path.touch(mode=0o600)
        path.write_text(token)
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": (
                f"http://127.0.0.1:{self._server.server_address[1]}/{service}"
            ),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(path),
        }

    def answer(self, path: str, token: str) -> tuple[int, dict[str, Any]]:
        """Status and document for a request."""
        service = path.strip("/")
        expected = self._tokens.get(service)
        if expected is None or not hmac.compare_digest(expected.encode(), token.encode()):
            return 403, {"Message": "this token is not the service's"}
        try:
            return 200, self._issue(service)
        except (BotoCoreError, ClientError) as error:
            # botocore asks again, and goes on with the keys that it has until they end.
            return 503, {"Message": f"no keys for {service} now: {type(error).__name__}"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        credentials = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, document = credentials.answer(self.path, self.headers.get("Authorization", ""))
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
                """Every service asks now and then; that is no news."""

        return Handler
