"""Amounts, states and lists of banks, read strictly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.open_finance import documents
from apps.open_finance.consent import EVERYTHING, GROUPS, IncompletePermissions, complete
from apps.open_finance.documents import Invalid
from apps.open_finance.institutions import listed
from apps.open_finance.payment import reais
from apps.simulators.other_bank.answers import money


@pytest.mark.parametrize(
    ("amount", "cents"),
    [("0.00", 0), ("1000.04", 100_004), ("1000.0400", 100_004), ("-3.10", -310), ("7.010", 701)],
)
def test_two_to_four_decimals_are_centavos(amount: str, cents: int) -> None:
    assert documents.cents(amount) == cents


@pytest.mark.parametrize(
    "amount",
    [
        "1000.0437",
        "0.001",
        "1",
        "1.0",
        "1,00",
        "",
        "+1.00",
        "1e3.00",
        " 1.00",
        "\u0661.\u0660\u0660",
        "1.00000",
        "NaN",
        "1" * 16 + ".00",
    ],
)
def test_what_is_no_amount_in_centavos_is_refused(amount: str) -> None:
    with pytest.raises(Invalid):
        documents.cents(amount)


def test_what_cannot_be_negative_is_not() -> None:
    with pytest.raises(Invalid):
        documents.cents("-1.00", signed=False)


@settings(deadline=None)
@given(st.integers(-(10**13), 10**13), st.sampled_from([2, 4]))
def test_every_balance_that_the_simulator_writes_is_read_as_it_was(cents: int, decimals: int) -> None:
    assert documents.cents(money(cents, decimals)["amount"]) == cents


@settings(deadline=None)
@given(st.integers(1, 10**12))
def test_every_amount_that_we_write_is_read_as_it_was(cents: int) -> None:
    assert documents.cents(reais(cents)) == cents


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_a_whole_group_is_complete_and_any_of_it_missing_is_not(group: frozenset[str]) -> None:
    assert complete(group) == group
    for name in group:
        with pytest.raises(IncompletePermissions):
            complete(group - {name})


def test_nothing_named_means_everything() -> None:
    assert complete(None) == EVERYTHING


def participant(**more: object) -> dict[str, object]:
    url = "https://bank.example/open-banking"
    families = {
        "consents": ("3.2.0", f"{url}/consents/v3/consents"),
        "resources": ("3.0.0", f"{url}/resources/v3/resources"),
        "accounts": ("2.4.2", f"{url}/accounts/v2/accounts"),
    }
    server: dict[str, object] = {
        "AuthorisationServerId": "server",
        "CustomerFriendlyName": "Bank",
        "Issuer": "https://bank.example",
        "OpenIDDiscoveryDocument": "https://bank.example/.well-known/openid-configuration",
        "ApiResources": [
            {
                "ApiFamilyType": family,
                "ApiVersion": version,
                "ApiDiscoveryEndpoints": [{"ApiEndpoint": endpoint}],
            }
            for family, (version, endpoint) in families.items()
        ],
    }
    return {
        "OrganisationId": "organisation",
        "RegistrationNumber": "12345678000199",
        "Status": "Active",
        "AuthorisationServers": [server | more],
    }


def test_a_participant_that_speaks_our_versions_can_be_linked() -> None:
    found = listed([participant()], plain=False)["server"]
    assert (found.name, found.ispb, found.endpoints["accounts"]) == (
        "Bank",
        "12345678",
        "https://bank.example/open-banking/accounts/v2/accounts",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        participant(Issuer="http://bank.example"),
        participant(Issuer=None),
        participant(ApiResources=[]),
        participant() | {"Status": "Inactive"},
        participant() | {"AuthorisationServers": [{}]},
        {},
        7,
        None,
    ],
    ids=["no TLS", "no issuer", "no APIs", "inactive", "no server", "empty", "number", "null"],
)
def test_one_that_is_described_wrongly_is_left_out_alone(wrong: object) -> None:
    assert set(listed([wrong, participant(AuthorisationServerId="good")], plain=False)) == {"good"}
