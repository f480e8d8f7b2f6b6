"""People sign themselves up and in by e-mail and SRP; nothing that they say of themselves is believed."""

from dataclasses import replace
from typing import Any

import pulumi
import pytest

from cognito import AppClient, AppClientArgs, UserPool, UserPoolArgs
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from names import PREFIX_LIMIT
from settings import IdentitySettings
from tests.platform.types_check import complaints

SETTINGS = IdentitySettings(mfa="OPTIONAL", tier="ESSENTIALS")
POOL = "aws:cognito/userPool:UserPool"
CLIENT = "aws:cognito/userPoolClient:UserPoolClient"


def program(
    settings: IdentitySettings = SETTINGS,
    *,
    prefix: str = "dev",
    protect: bool = False,
    region: str = "sa-east-1",
) -> None:
    pool = UserPool("identity", UserPoolArgs(settings, prefix, region, protect))
    client = AppClient("app", AppClientArgs(pool.pool_id, prefix))
    pulumi.export("pool_id", pool.pool_id)
    pulumi.export("issuer", pool.issuer)
    pulumi.export("client_id", client.client_id)


def pool_of(settings: IdentitySettings) -> dict[str, Any]:
    return dict(evaluate(lambda: program(settings)).one(POOL).inputs)


@pytest.fixture(scope="module")
def dev() -> Graph:
    return evaluate(program)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize("tier", ["ESSENTIALS", "PLUS"])
def test_every_resource_takes_what_its_sdk_says_and_has_a_component_above_it(
    tier: Any, preview: bool
) -> None:
    graph = evaluate(lambda: program(replace(SETTINGS, tier=tier), protect=True), preview=preview)
    assert {node.name: found for node in graph if (found := complaints(node))} == {}
    assert graph.outside_components() == []
    assert graph.messages == ()
    assert len(graph.of_type(POOL)) == len(graph.of_type(CLIENT)) == 1


@pytest.mark.parametrize("region", ["sa-east-1", "us-east-1"])
def test_the_issuer_is_what_cognito_writes_into_tokens(region: str) -> None:
    outputs = evaluate(lambda: program(region=region)).outputs
    assert outputs["issuer"] == f"https://cognito-idp.{region}.amazonaws.com/{outputs['pool_id']}"
    assert evaluate(program, preview=True).outputs["issuer"] is UNKNOWN


def test_the_e_mail_address_is_the_name_whatever_its_case(dev: Graph) -> None:
    inputs = dev.one(POOL).inputs
    assert inputs["usernameAttributes"] == ["email"]
    assert inputs["usernameConfiguration"] == {"caseSensitive": False}


def test_an_address_counts_only_once_it_is_confirmed(dev: Graph) -> None:
    inputs = dev.one(POOL).inputs
    assert inputs["autoVerifiedAttributes"] == ["email"]
    assert inputs["userAttributeUpdateSettings"] == {"attributesRequireVerificationBeforeUpdates": ["email"]}
    mechanisms = inputs["accountRecoverySetting"]["recoveryMechanisms"]
    assert mechanisms == [{"name": "verified_email", "priority": 1}]


def test_users_sign_themselves_up(dev: Graph) -> None:
    assert dev.one(POOL).inputs["adminCreateUserConfig"] == {"allowAdminCreateUserOnly": False}


def test_passwords_are_long(dev: Graph) -> None:
    policy = dev.one(POOL).inputs["passwordPolicy"]
    assert policy["minimumLength"] >= 14
    assert policy["requireLowercase"] is policy["requireUppercase"] is policy["requireNumbers"] is True
    assert policy["temporaryPasswordValidityDays"] == 1


@pytest.mark.parametrize("mfa", ["OPTIONAL", "ON"])
def test_the_second_factor_is_an_authenticator_app(mfa: Any) -> None:
    inputs = pool_of(replace(SETTINGS, mfa=mfa))
    assert inputs["mfaConfiguration"] == mfa
    assert inputs["softwareTokenMfaConfiguration"] == {"enabled": True}
    assert "smsConfiguration" not in inputs


def test_without_a_second_factor_none_is_set_up_which_cognito_would_refuse() -> None:
    inputs = pool_of(replace(SETTINGS, mfa="OFF"))
    assert inputs["mfaConfiguration"] == "OFF"
    assert "softwareTokenMfaConfiguration" not in inputs


def test_threat_protection_comes_with_its_plan_alone() -> None:
    assert "userPoolAddOns" not in pool_of(SETTINGS)
    plus = pool_of(replace(SETTINGS, tier="PLUS"))
    assert plus["userPoolAddOns"] == {"advancedSecurityMode": "ENFORCED"}
    assert plus["userPoolTier"] == "PLUS"


@pytest.mark.parametrize(("protect", "state"), [(True, "ACTIVE"), (False, "INACTIVE")])
def test_a_protected_pool_is_deleted_neither_by_pulumi_nor_by_aws(protect: bool, state: str) -> None:
    pool = evaluate(lambda: program(protect=protect)).one(POOL)
    assert pool.protect is protect
    assert pool.inputs["deletionProtection"] == state


def test_srp_and_refresh_are_the_only_flows_and_there_is_no_secret(dev: Graph) -> None:
    inputs = dev.one(CLIENT).inputs
    assert sorted(inputs["explicitAuthFlows"]) == ["ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"]
    assert inputs["generateSecret"] is False
    assert inputs["allowedOauthFlowsUserPoolClient"] is False
    assert not {"allowedOauthFlows", "allowedOauthScopes", "callbackUrls"} & inputs.keys()
    # Cognito refuses rotation beside ALLOW_REFRESH_TOKEN_AUTH.
    assert "refreshTokenRotation" not in inputs


def test_tokens_are_short_and_can_be_revoked(dev: Graph) -> None:
    inputs = dev.one(CLIENT).inputs
    assert inputs["tokenValidityUnits"] == {
        "accessToken": "minutes",
        "idToken": "minutes",
        "refreshToken": "hours",
    }
    assert (inputs["accessTokenValidity"], inputs["idTokenValidity"], inputs["refreshTokenValidity"]) == (
        15,
        15,
        24,
    )
    assert inputs["enableTokenRevocation"] is True


def test_nobody_learns_who_has_an_account(dev: Graph) -> None:
    assert dev.one(CLIENT).inputs["preventUserExistenceErrors"] == "ENABLED"


def test_users_write_their_address_and_nothing_else_of_themselves(dev: Graph) -> None:
    assert dev.one(CLIENT).inputs["writeAttributes"] == ["email"]


def test_the_client_belongs_to_the_pool(dev: Graph) -> None:
    assert dev.depends(dev.one(CLIENT), dev.one(POOL))
    assert dev.one(CLIENT).inputs["userPoolId"] == dev.outputs["pool_id"]


def test_names_fit_with_the_longest_prefix() -> None:
    graph = evaluate(lambda: program(prefix="p" * PREFIX_LIMIT))
    names = [graph.one(type_).inputs["name"] for type_ in (POOL, CLIENT)]
    assert [len(name) <= 128 for name in names] == [True, True]
    assert names[0] != names[1]
