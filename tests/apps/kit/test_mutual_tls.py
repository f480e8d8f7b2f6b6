"""Mutual TLS: our certificate is shown, and only a server that our authority knows is spoken to."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apps.dict_key.client import UNSEALED, Dict, DictDown
from apps.kit import mutual_tls
from apps.kit.mutual_tls import BadCertificate
from apps.pix.keys import classify
from tests.apps.dict_key.wire import answer, served

PHONE = classify("+5511987654321")


@dataclass(frozen=True)
class Holder:
    """A key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> tuple[str, str]:
        """The certificate's text, and the key's."""
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def holder(name: str, issuer: Holder | None = None) -> Holder:
    """Somebody whom `issuer` vouches for; an authority without one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    )
    signer = issuer.key if issuer else key
    return Holder(key, builder.sign(signer, hashes.SHA256()))


class FakeSecrets:
    """Secrets Manager with one secret."""

    def __init__(self, text: str) -> None:
        self.text = text

    def get_secret_value(self, **request: Any) -> Mapping[str, Any]:
        assert request == {"SecretId": "dict"}
        return {"SecretString": self.text}


def secret(ours: Holder, authority: Holder) -> FakeSecrets:
    certificate, private_key = ours.pem
    return FakeSecrets(
        json.dumps({"certificate": certificate, "private_key": private_key, "authority": authority.pem[0]})
    )


def bacens(server: Holder, clients: Holder, folder: Path) -> ssl.SSLContext:
    """What the DICT's side asks for: a certificate that `clients` signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain = folder / "server.pem"
    chain.write_text("".join(server.pem))
    context.load_cert_chain(chain)
    context.load_verify_locations(cadata=clients.pem[0])
    context.verify_mode = ssl.CERT_REQUIRED
    return context


AUTHORITY, STRANGER = holder("authority"), holder("stranger")
SERVER, OURS = holder("dict", AUTHORITY), holder("gobanking", AUTHORITY)


def look_up(secrets: FakeSecrets, server: ssl.SSLContext) -> str:
    with (
        served(answer(), context=server) as wire,
        urllib3.PoolManager(ssl_context=mutual_tls.context(secrets, "dict")) as pool,
    ):
        directory = Dict(wire.url, "99999010", pool, seal=UNSEALED)
        found = directory.look_up(PHONE, "52998224725", "E9999901020261125123412345678900")
        return found.entry.owner.name


@pytest.mark.loopback
def test_both_sides_that_the_authority_knows_speak(tmp_path: Path) -> None:
    assert look_up(secret(OURS, AUTHORITY), bacens(SERVER, AUTHORITY, tmp_path)) == "Bruna Lima"


@pytest.mark.loopback
def test_a_server_of_another_authority_learns_nothing(tmp_path: Path) -> None:
    with pytest.raises(DictDown):
        look_up(secret(OURS, STRANGER), bacens(SERVER, AUTHORITY, tmp_path))


@pytest.mark.loopback
def test_without_a_certificate_that_bacen_knows_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(DictDown):
        look_up(secret(holder("us", STRANGER), AUTHORITY), bacens(SERVER, AUTHORITY, tmp_path))


def test_nothing_older_than_tls_1_2_is_spoken() -> None:
    made = mutual_tls.context(secret(OURS, AUTHORITY), "dict")
    assert made.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        json.dumps({"certificate": "x", "private_key": "y", "authority": "z"}),
        json.dumps({"certificate": OURS.pem[0], "private_key": SERVER.pem[1], "authority": AUTHORITY.pem[0]}),
    ],
    ids=["empty", "no JSON", "a list", "nothing in it", "no PEM", "another's key"],
)
def test_a_secret_that_does_not_do_ends_the_start_without_being_quoted(text: str) -> None:
    with pytest.raises(BadCertificate) as bad:
        mutual_tls.context(FakeSecrets(text), "dict")
    assert "BEGIN" not in str(bad.value)
