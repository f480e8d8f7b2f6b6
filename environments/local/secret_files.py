"""The catalog's secrets on one machine: files that only this user reads, each in the folder of a service that
may have it. They are made once, so that what was sealed before a restart still opens after it."""

import base64
import json
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from apps.catalog import Service

CNPJ = "99999010000101"


def prepare(folder: Path, service: Service, name_of: Callable[[str], str]) -> Path:
    """Writes the service's secrets that are not there yet; gives the folder to read them from."""
    place = folder / service.name
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    for secret in sorted(service.secrets):
        path = place / name_of(secret)
        if not path.exists():
            fresh = path.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_text(MAKERS[secret]())
            fresh.replace(path)
    return place


def open_finance_keys() -> str:
    """Our keys in Open Finance: one for data at rest, one to sign with."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {
            "organisation_id": str(uuid.uuid4()),
            "cnpj": CNPJ,
            "data_keys": {"local": base64.b64encode(os.urandom(32)).decode()},
            "current_data_key": "local",
            "signing_kid": "local",
            "signing_key": pem.decode(),
        }
    )


MAKERS: Mapping[str, Callable[[], str]] = {"open_finance_keys": open_finance_keys}
"""How each secret of the catalog is made here."""
