"""Users for one smoke test: made without a mail, signed in by SRP as people are, deleted afterwards.

Made and deleted with the operator's own keys; signed in without any, as an app would.
"""

import secrets
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from environments.preview import totp


class SignInFailed(Exception):  # noqa: N818
    """Cognito did not let the user in. The message says at which step."""


@dataclass(frozen=True)
class Pool:
    """A user pool and the client of one environment. `admin` has keys, `public` has none."""

    pool_id: str
    client_id: str
    admin: Any
    public: Any
    now: Callable[[], float] = time.time

    def mfa(self) -> str:
        """OFF, OPTIONAL or ON."""
        return str(self.admin.describe_user_pool(UserPoolId=self.pool_id)["UserPool"]["MfaConfiguration"])

    def create(self, email: str, password: str) -> None:
        """A confirmed user whom nobody writes to."""
        self.admin.admin_create_user(
            UserPoolId=self.pool_id,
            Username=email,
            MessageAction="SUPPRESS",
            UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
        )
        self.admin.admin_set_user_password(
            UserPoolId=self.pool_id, Username=email, Password=password, Permanent=True
        )

    def delete(self, email: str) -> None:
        """The user is gone, whether there was one or not."""
        try:
            self.admin.admin_delete_user(UserPoolId=self.pool_id, Username=email)
        except self.admin.exceptions.UserNotFoundException:
            return

    def token(self, email: str, password: str) -> str:
        """The access token of a first sign-in, by SRP; an authenticator is enrolled where the pool asks."""
        srp = self._srp(email, password)
        asked = self.public.initiate_auth(
            AuthFlow="USER_SRP_AUTH", AuthParameters=srp.get_auth_params(), ClientId=self.client_id
        )
        proof = srp.process_challenge(asked["ChallengeParameters"], {"USERNAME": email})
        answer = self._answered(asked["ChallengeName"], proof, asked.get("Session"))
        if answer.get("ChallengeName") == "MFA_SETUP":
            answer = self._enrolled(email, answer)
        if "AuthenticationResult" not in answer:
            raise SignInFailed(
                f"Cognito asks for {answer.get('ChallengeName')}, which a new user cannot give"
            )
        return str(answer["AuthenticationResult"]["AccessToken"])

    def _enrolled(self, email: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        given = self.public.associate_software_token(Session=asked["Session"])
        verified = self.public.verify_software_token(
            Session=given["Session"], UserCode=totp.code(given["SecretCode"], self.now())
        )
        if verified["Status"] != "SUCCESS":
            raise SignInFailed(f"the authenticator's first code was not taken: {verified['Status']}")
        return self._answered("MFA_SETUP", {"USERNAME": email}, verified["Session"])

    def _answered(self, challenge: str, proof: Mapping[str, str], session: str | None) -> Mapping[str, Any]:
        more = {"Session": session} if session else {}
        answer: Mapping[str, Any] = self.public.respond_to_auth_challenge(
            ClientId=self.client_id, ChallengeName=challenge, ChallengeResponses=dict(proof), **more
        )
        return answer

    def _srp(self, email: str, password: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pycognito.aws_srp import AWSSRP  # noqa: PLC0415 (it imports slowly and warns)
        return _quiet(
            AWSSRP(
                username=email,
                password=password,
                pool_id=self.pool_id,
                client_id=self.client_id,
                client=self.public,
            )
        )


class _quiet:  # noqa: N801
    """pycognito asks for the time in a way that Python warns of."""

    def __init__(self, srp: Any) -> None:
        self._srp = srp

    def get_auth_params(self) -> dict[str, str]:
        return dict(self._srp.get_auth_params())

    def process_challenge(self, challenge: Mapping[str, Any], request: Mapping[str, str]) -> dict[str, str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dict(self._srp.process_challenge(challenge, request))


def password() -> str:
    """A password that every pool of ours takes, used once."""
    return f"Aa1-{secrets.token_urlsafe(24)}"


def pool(pool_id: str, client_id: str) -> Pool:
    """The pool on AWS; its region is in its id."""
    import boto3  # noqa: PLC0415 (slow to import)
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    region = pool_id.partition("_")[0]
    session = boto3.session.Session(region_name=region)
    return Pool(
        pool_id,
        client_id,
        admin=session.client("cognito-idp"),
        public=session.client("cognito-idp", config=Config(signature_version=UNSIGNED)),
    )
