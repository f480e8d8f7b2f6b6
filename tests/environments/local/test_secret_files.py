"""Secrets on one machine: made once, for the service that may have them, readable by this user alone."""

import ssl
import stat
from pathlib import Path
from typing import Any

import pytest

from apps.catalog import CATALOG
from apps.kit import mutual_tls, secret_values
from apps.open_finance import keys
from environments.local import secret_files
from environments.local.names import LocalNames

NAMES = LocalNames({}, {})
SERVICE = CATALOG.service("open_finance")


def test_every_secret_of_the_bank_can_be_made_here() -> None:
    assert CATALOG.secrets == secret_files.MAKERS.keys()


def test_the_service_that_may_have_it_reads_what_was_made(tmp_path: Path) -> None:
    folder = secret_files.prepare(tmp_path, SERVICE, NAMES.secret)
    text = secret_values.read(NAMES.secret("open_finance_keys"), "sa-east-1", str(folder))
    assert keys.read(text).cnpj == secret_files.CNPJ
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_made_once(tmp_path: Path) -> None:
    contents = [
        next(secret_files.prepare(tmp_path, SERVICE, NAMES.secret).iterdir()).read_bytes() for _ in range(2)
    ]
    assert contents[0] == contents[1]


def test_a_secret_without_a_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(secret_values.NoSecret, match="local-thing"):
        secret_values.read("local-thing", "sa-east-1", str(tmp_path))


def test_the_certificate_is_one_that_mutual_tls_takes() -> None:
    class Secrets:
        def get_secret_value(self, **_: Any) -> Any:
            return {"SecretString": secret_files.certificate()}

    assert mutual_tls.context(Secrets(), "dict_certificate").verify_mode is ssl.CERT_REQUIRED
