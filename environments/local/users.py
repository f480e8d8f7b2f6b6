"""Users of the local pool: created, confirmed and signed in as on AWS, by SRP and without any key."""

import contextlib
import warnings
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from environments.local.ministack import root_client, unsigned_cognito

PASSWORD = "Simulated-money-1"  # noqa: S105 (the default of users that exist on this machine alone)


class SignInFailed(Exception):  # noqa: N818
    """Cognito does not let this user in. The message says why, and what would do."""


def sign_in(cognito: Mapping[str, str], email: str, password: str) -> str:
    """Creates and confirms the user unless it exists, signs in by SRP, gives the access token."""
    client = unsigned_cognito(cognito["endpoint"])
    try:
        with contextlib.suppress(client.exceptions.UsernameExistsException):
            _sign_up(client, cognito, email, password)
    except ClientError as error:
        raise SignInFailed(f"{email} cannot be created: {error.response['Error']['Message']}") from error
    return _srp(client, cognito, email, password)


def _sign_up(client: Any, cognito: Mapping[str, str], email: str, password: str) -> None:
    client.sign_up(
        ClientId=cognito["client_id"],
        Username=email,
        Password=password,
        UserAttributes=[{"Name": "email", "Value": email}],
    )
    # On AWS the user types the code of an e-mail; here nobody gets one.
    root_client("cognito-idp", cognito["endpoint"]).admin_confirm_sign_up(
        UserPoolId=cognito["user_pool_id"], Username=email
    )


def _srp(client: Any, cognito: Mapping[str, str], email: str, password: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pycognito.aws_srp import AWSSRP  # noqa: PLC0415 (it imports slowly and warns)
    srp = AWSSRP(
        username=email,
        password=password,
        pool_id=cognito["user_pool_id"],
        client_id=cognito["client_id"],
        client=client,
    )
    try:
        tokens = srp.authenticate_user()
    except client.exceptions.NotAuthorizedException as error:
        why = f"{email}: wrong password. Give the one that it was created with: --password"
        raise SignInFailed(why) from error
    return str(tokens["AuthenticationResult"]["AccessToken"])
