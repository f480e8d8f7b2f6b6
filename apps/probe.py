"""Asks the program in this container whether it is alive: the image's health check.

Kubernetes has probes of its own and does not look at this; it is for whoever runs an image with Docker alone.
Only the standard library, so that it costs little each time.
"""

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

TIMEOUT_SECONDS = 2.0


def alive(port: int) -> bool:
    """Whether `/livez` answers 200. Not `/readyz`: a store that is away is no reason to start again."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def exit_code(environ: Mapping[str, str]) -> int:
    """0 for a program that lives, and for a job, which has no port; otherwise 1."""
    port = environ.get("PORT")
    return 0 if port is None or alive(int(port)) else 1


if __name__ == "__main__":
    sys.exit(exit_code(os.environ))
