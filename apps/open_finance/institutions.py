"""The banks that take part: read from the directory of participants, whose last good answer is kept."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from apps.kit.outbound import Answer, Call, NoAnswer, Send

FRESH_SECONDS = 600.0
ASK_SECONDS = 3.0
FAMILIES = {
    "consents": "/consents",
    "resources": "/resources",
    "accounts": "/accounts",
    "payments-consents": "/consents",
    "payments-pix": "/pix/payments",
}
"""The APIs that we use, and how their endpoints end."""
PUBLIC = "https://data.directory.openbankingbrasil.org.br/participants"
"""Open Finance Brasil's own list of participants."""


class DirectoryAway(Exception):  # noqa: N818
    """The directory has never answered."""


@dataclass(frozen=True)
class Institution:
    """A bank's authorisation server and where its APIs are, by family."""

    bank_id: str
    organisation_id: str
    name: str
    cnpj: str
    issuer: str
    discovery_url: str
    endpoints: Mapping[str, str]

    @property
    def ispb(self) -> str:
        """A bank's ISPB is the root of its CNPJ."""
        return self.cnpj[:8]


class _Endpoint(BaseModel):
    model_config = ConfigDict(extra="ignore")

    ApiEndpoint: str


class _Api(BaseModel):
    model_config = ConfigDict(extra="ignore")

    ApiFamilyType: str
    ApiVersion: str
    ApiDiscoveryEndpoints: list[_Endpoint]


class _Server(BaseModel):
    model_config = ConfigDict(extra="ignore")

    AuthorisationServerId: str
    CustomerFriendlyName: str
    Issuer: str
    OpenIDDiscoveryDocument: str
    ApiResources: list[_Api]


class _Participant(BaseModel):
    model_config = ConfigDict(extra="ignore")

    OrganisationId: str
    RegistrationNumber: str
    Status: str
    AuthorisationServers: list[Any]


MAJOR = {"consents": "3", "resources": "3", "accounts": "2", "payments-consents": "4", "payments-pix": "4"}
"""The versions that we speak."""


def listed(participants: Iterable[object], *, plain: bool) -> dict[str, Institution]:
    """The institutions of a directory's answer that can be linked, by id. One that is described wrongly is
    left out alone. `plain` allows URLs without TLS, which only a simulator on this network has."""
    found: dict[str, Institution] = {}
    for each in participants:
        try:
            participant = _Participant.model_validate(each)
            servers = [_Server.model_validate(server) for server in participant.AuthorisationServers]
        except ValidationError:
            continue
        if participant.Status != "Active":
            continue
        for server in servers:
            institution = _institution(participant, server)
            if institution is not None and (plain or _all_tls(institution)):
                found[institution.bank_id] = institution
    return found


def _institution(participant: _Participant, server: _Server) -> Institution | None:
    endpoints = {}
    for api in server.ApiResources:
        ending = FAMILIES.get(api.ApiFamilyType)
        if ending is None or api.ApiVersion.partition(".")[0] != MAJOR[api.ApiFamilyType]:
            continue
        for endpoint in api.ApiDiscoveryEndpoints:
            if endpoint.ApiEndpoint.endswith(ending):
                endpoints[api.ApiFamilyType] = endpoint.ApiEndpoint
    if not {"consents", "resources", "accounts"} <= endpoints.keys():
        return None
    return Institution(
        server.AuthorisationServerId,
        participant.OrganisationId,
        server.CustomerFriendlyName,
        participant.RegistrationNumber,
        server.Issuer,
        server.OpenIDDiscoveryDocument,
        endpoints,
    )


def _all_tls(institution: Institution) -> bool:
    urls = (institution.discovery_url, institution.issuer, *institution.endpoints.values())
    return all(urlsplit(url).scheme == "https" for url in urls)


class Directory:
    """The institutions, asked for at most every ten minutes."""

    def __init__(self, send: Send, url: str, clock: Callable[[], float]) -> None:
        self._send = send
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Mapping[str, Institution] = {}
        self._good_until = float("-inf")

    def all(self) -> list[Institution]:
        """Every institution, by name. Raises `DirectoryAway`."""
        return sorted(self._current().values(), key=lambda each: each.name)

    def find(self, bank_id: str) -> Institution | None:
        """The institution with this id. Raises `DirectoryAway`."""
        return self._current().get(bank_id)

    def _current(self) -> Mapping[str, Institution]:
        with self._lock:
            if self._clock() >= self._good_until:
                self._refresh()
            if not self._known:
                raise DirectoryAway(self._url)
            return self._known

    def _refresh(self) -> None:
        try:
            answer = self._send(Call("GET", self._url, {"Accept": "application/json"}), ASK_SECONDS)
            found = listed(_participants(answer), plain=urlsplit(self._url).scheme == "http")
        except (NoAnswer, ValueError, RecursionError):
            found = {}
        if found:
            self._known = found
        # Also after a failure the next question waits, though not as long: old entries stay good.
        self._good_until = self._clock() + (FRESH_SECONDS if found else 5.0)


def _participants(answer: Answer) -> list[object]:
    document = json.loads(answer.body) if answer.status == 200 else None
    return document if isinstance(document, list) else []
