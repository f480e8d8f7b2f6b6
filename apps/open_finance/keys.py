"""Our keys and names in Open Finance: what the secret `open_finance_keys` holds, checked when we start."""

import base64
import json
import os
import ssl
import uuid
from dataclasses import dataclass
from typing import Annotated

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.kit import outbound
from apps.kit.settings import SettingsError
from apps.open_finance.sealing import Sealer
from apps.open_finance.signatures import SigningKey

NOBODY = "99999010000101"
"""A CNPJ that no company has, for a bank that no directory lists."""


class OurKeys(BaseModel):
    """The secret's document. `data_keys` are 32 bytes each, in Base64; `signing_key` and the `tls_` members
    are PEM. `software_statement` is what the directory signed for us; a bank that is simulated wants none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    organisation_id: Annotated[str, Field(min_length=1)]
    cnpj: Annotated[str, Field(pattern=r"^[0-9]{14}$")]
    data_keys: Annotated[dict[str, str], Field(repr=False)]
    current_data_key: str
    signing_kid: str
    signing_key: Annotated[str, Field(repr=False)]
    software_statement: str | None = None
    tls_certificate: str | None = None
    tls_key: Annotated[str | None, Field(repr=False)] = None
    tls_authority: str | None = None

    def sealer(self) -> Sealer:
        """What seals texts at rest."""
        keys = {name: base64.b64decode(text, validate=True) for name, text in self.data_keys.items()}
        return Sealer(keys, self.current_data_key)

    def signer(self) -> SigningKey:
        """What signs for us."""
        return SigningKey(self.signing_kid, self.signing_key)

    def tls(self) -> ssl.SSLContext | None:
        """How we prove ourselves to a bank's servers, where the secret says so."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return outbound.mutual(self.tls_certificate, self.tls_key, self.tls_authority)


@dataclass(frozen=True)
class Ourselves:
    """Who we are to every bank, and where a bank sends our users back to."""

    keys: OurKeys
    signer: SigningKey
    redirect_uri: str


def read(text: str) -> OurKeys:
    """The keys in a secret's text. Raises `SettingsError` that says what is wrong and repeats nothing."""
    try:
        keys = OurKeys.model_validate_json(text)
        keys.sealer()
        keys.signer()
        keys.tls()
    except ValidationError as error:
        found = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise SettingsError("the secret open_finance_keys is not valid: " + "; ".join(found)) from None
    except ValueError as error:
        raise SettingsError(f"the secret open_finance_keys is not valid: {type(error).__name__}") from None
    return keys


def made() -> str:
    """A document like the secret's, of keys that nobody else has: enough where no directory lists us."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {
            "organisation_id": str(uuid.uuid4()),
            "cnpj": NOBODY,
            "data_keys": {"made": base64.b64encode(os.urandom(32)).decode()},
            "current_data_key": "made",
            "signing_kid": "made",
            "signing_key": pem.decode(),
        }
    )
