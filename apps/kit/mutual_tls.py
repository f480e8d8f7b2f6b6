"""Mutual TLS with Bacen: our certificate and key, and the authority that signs the other side's.

They come as one secret, a JSON object of PEM texts: `certificate`, `private_key`, `authority`.
"""

import json
import ssl
import tempfile
from pathlib import Path

from apps.kit import secret_values
from apps.kit.secret_values import Secrets
from apps.kit.settings import SettingsError


class BadCertificate(SettingsError):  # noqa: N818
    """The secret does not hold what mutual TLS needs. The message never quotes it."""


def context(secrets: Secrets, name: str) -> ssl.SSLContext:
    """A context that shows our certificate and takes only servers that the authority vouches for, TLS 1.2 or
    newer. Raises `BadCertificate` or `NoSecret`."""
    text = secret_values.read(secrets, name)
    try:
        pem = json.loads(text)
        certificate, private_key, authority = (
            str(pem[each]) for each in ("certificate", "private_key", "authority")
        )
        made = ssl.create_default_context(cadata=authority)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(made, certificate, private_key)
    except (ValueError, TypeError, KeyError, ssl.SSLError) as error:
        raise BadCertificate(
            f"the secret {name} is no JSON object of `certificate`, `private_key` and `authority` in PEM "
            f"that belong together: {type(error).__name__}"
        ) from None
    return made


def _load(made: ssl.SSLContext, certificate: str, private_key: str) -> None:
    # OpenSSL reads a chain from a file only; this one is the process's own and gone at once.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.pem"
        path.touch(mode=0o600)
        path.write_text(f"{private_key}\n{certificate}\n")
        made.load_cert_chain(path)
