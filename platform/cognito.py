"""Who the customers are: one user pool for a base, and one app client for each environment on it."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

import names
from settings import IdentitySettings

ACCESS_TOKEN_MINUTES = 15
"""How long a token works after it was revoked: services check it without asking Cognito."""
REFRESH_TOKEN_HOURS = 24
PASSWORD_LENGTH = 14


@dataclass(frozen=True)
class UserPoolArgs:
    """`region` is part of the issuer."""

    settings: IdentitySettings
    prefix: str
    region: str
    protect: bool


class UserPool(pulumi.ComponentResource):
    """The user pool: people sign themselves up by e-mail address, which they confirm.

    Free up to 10,000 users a month on the plan ESSENTIALS; PLUS costs from the first and also refuses
    passwords that leaked and sign-ins that look stolen. Cognito itself sends the mails, at most 50 a day.
    Sign-in by e-mail address and the indifference to its case can never be changed: a change is another pool,
    without the users. So it is protected in prod, by Pulumi and by AWS.
    """

    pool_id: pulumi.Output[str]
    issuer: pulumi.Output[str]

    def __init__(self, name: str, args: UserPoolArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:UserPool", name, {}, opts)
        pool = aws.cognito.UserPool(
            f"{name}-pool",
            name=names.physical(args.prefix, "users"),
            user_pool_tier=args.settings.tier,
            user_pool_add_ons=_threat_protection(args.settings),
            username_attributes=["email"],
            username_configuration=aws.cognito.UserPoolUsernameConfigurationArgs(case_sensitive=False),
            auto_verified_attributes=["email"],
            user_attribute_update_settings=aws.cognito.UserPoolUserAttributeUpdateSettingsArgs(
                attributes_require_verification_before_updates=["email"]
            ),
            admin_create_user_config=aws.cognito.UserPoolAdminCreateUserConfigArgs(
                allow_admin_create_user_only=False
            ),
            # Length is what makes a password strong (NIST SP 800-63B, 5.1.1), so no symbols are demanded.
            password_policy=aws.cognito.UserPoolPasswordPolicyArgs(
                minimum_length=PASSWORD_LENGTH,
                require_lowercase=True,
                require_uppercase=True,
                require_numbers=True,
                require_symbols=False,
                password_history_size=5,
                temporary_password_validity_days=1,
            ),
            mfa_configuration=args.settings.mfa,
            software_token_mfa_configuration=_software_token(args.settings),
            account_recovery_setting=aws.cognito.UserPoolAccountRecoverySettingArgs(
                recovery_mechanisms=[
                    aws.cognito.UserPoolAccountRecoverySettingRecoveryMechanismArgs(
                        name="verified_email", priority=1
                    )
                ]
            ),
            deletion_protection="ACTIVE" if args.protect else "INACTIVE",
            opts=ResourceOptions(parent=self, protect=args.protect),
        )
        self.pool_id = pool.id
        self.issuer = pulumi.Output.concat(f"https://cognito-idp.{args.region}.amazonaws.com/", pool.id)
        self.register_outputs({"pool_id": self.pool_id, "issuer": self.issuer})


@dataclass(frozen=True)
class AppClientArgs:
    """`pool_id` may be another stack's; `prefix` tells the clients of one pool apart."""

    pool_id: pulumi.Input[str]
    prefix: str


class AppClient(pulumi.ComponentResource):
    """The app client of one environment: public, so without a secret, for SRP and refresh alone.

    A password never travels, and no page of Cognito's takes part. Costs nothing.
    """

    client_id: pulumi.Output[str]

    def __init__(self, name: str, args: AppClientArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:AppClient", name, {}, opts)
        client = aws.cognito.UserPoolClient(
            f"{name}-client",
            name=names.physical(args.prefix, "app"),
            user_pool_id=args.pool_id,
            generate_secret=False,
            # Rotation of refresh tokens excludes this refresh flow, which is the one that the local pool and
            # common clients speak; a day of validity and revocation stand in for it.
            explicit_auth_flows=["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            allowed_oauth_flows_user_pool_client=False,
            prevent_user_existence_errors="ENABLED",
            enable_token_revocation=True,
            access_token_validity=ACCESS_TOKEN_MINUTES,
            id_token_validity=ACCESS_TOKEN_MINUTES,
            refresh_token_validity=REFRESH_TOKEN_HOURS,
            token_validity_units=aws.cognito.UserPoolClientTokenValidityUnitsArgs(
                access_token="minutes",  # noqa: S106 - a unit
                id_token="minutes",  # noqa: S106
                refresh_token="hours",  # noqa: S106
            ),
            # All that users may say of themselves; the rest, `email_verified` above all, is not theirs.
            write_attributes=["email"],
            read_attributes=["email", "email_verified"],
            opts=ResourceOptions(parent=self),
        )
        self.client_id = client.id
        self.register_outputs({"client_id": self.client_id})


def _threat_protection(settings: IdentitySettings) -> aws.cognito.UserPoolUserPoolAddOnsArgs | None:
    """Cognito refuses it on any other plan."""
    if settings.tier != "PLUS":
        return None
    return aws.cognito.UserPoolUserPoolAddOnsArgs(advanced_security_mode="ENFORCED")


def _software_token(
    settings: IdentitySettings,
) -> aws.cognito.UserPoolSoftwareTokenMfaConfigurationArgs | None:
    """An authenticator app. Cognito refuses to have it set up where the second factor is off."""
    if settings.mfa == "OFF":
        return None
    return aws.cognito.UserPoolSoftwareTokenMfaConfigurationArgs(enabled=True)
