"""Users of the local pool: created, confirmed and signed in as on AWS, by SRP and without any key."""

import contextlib
import warnings
from collections.abc import Mapping
from typing import Any

from environments.local.ministack import root_client, unsigned_cognito

PASSWORD = "Simulated-money-1"  # noqa: S105 (the default of users that exist on this machine alone)


class SignInFailed(Exception):  # noqa: N818
    """Cognito does not let this user in."""


def sign_in(cognito: Mapping[str, str], email: str, password: str) -> str:
    """Creates and confirms the user unless it exists, signs in by SRP, gives the access token."""
    client = unsigned_cognito(cognito["endpoint"])
    with contextlib.suppress(client.exceptions.UsernameExistsException):
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
    return _srp(client, cognito, email, password)


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
        raise SignInFailed(f"{email}: wrong password") from error
    return str(tokens["AuthenticationResult"]["AccessToken"])
