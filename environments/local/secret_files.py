"""The catalog's secrets on one machine: files that only this user reads, each in the folder of a service that
may have it. They are made once, so that what was sealed before a restart still opens after it."""

import base64
import json
import os
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

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


def certificate() -> str:
    """A certificate of ours for mutual TLS, its key, and the authority of the other side: one and the same
    here, where simulators stand in and nobody asks for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "GO Banking, local")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps({"certificate": pem, "private_key": private.decode(), "authority": pem})


MAKERS: Mapping[str, Callable[[], str]] = {
    "open_finance_keys": open_finance_keys,
    "dict_certificate": certificate,
    "spi_certificate": certificate,
}
"""How each secret of the catalog is made here."""
