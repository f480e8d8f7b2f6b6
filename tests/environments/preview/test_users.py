"""Users of a smoke test, on an emulated Cognito where there is one, and on a fake where it asks for more."""

from collections.abc import Iterator
from typing import Any

import pytest

from environments.local.ministack import root_client, unsigned_cognito
from environments.preview.totp import code
from environments.preview.users import Pool, SignInFailed, password
from tests.contract.ministack import running

SECRET = "GEZDGNBVGY3TQOJQ"


class Srp:
    """What `Pool` asks of SRP."""

    def get_auth_params(self) -> dict[str, str]:
        return {"USERNAME": "ana", "SRP_A": "1"}

    def process_challenge(self, challenge: Any, request: Any) -> dict[str, str]:
        return {"USERNAME": request["USERNAME"], "PROOF": challenge["SALT"]}


class Cognito:
    """Asks for the password's proof, then for what `steps` say, and notes what it was told."""

    def __init__(self, *steps: str, code_is: str = "SUCCESS") -> None:
        self.steps, self.told, self.code_is = list(steps), list[tuple[str, Any]](), code_is

    def initiate_auth(self, **asked: Any) -> dict[str, Any]:
        assert asked["AuthFlow"] == "USER_SRP_AUTH"
        return {"ChallengeName": "PASSWORD_VERIFIER", "ChallengeParameters": {"SALT": "s"}, "Session": "1"}

    def respond_to_auth_challenge(self, **told: Any) -> dict[str, Any]:
        self.told.append((told["ChallengeName"], told.get("Session")))
        if self.steps:
            return {"ChallengeName": self.steps.pop(0), "Session": "2", "ChallengeParameters": {}}
        return {"AuthenticationResult": {"AccessToken": "token"}}

    def associate_software_token(self, *, Session: str) -> dict[str, str]:  # noqa: N803
        assert Session == "2"
        return {"SecretCode": SECRET, "Session": "3"}

    def verify_software_token(self, *, Session: str, UserCode: str) -> dict[str, str]:  # noqa: N803
        self.told.append(("code", UserCode))
        assert Session == "3"
        return {"Status": self.code_is, "Session": "4"}


class Known(Pool):
    """A pool whose SRP is known."""

    def _srp(self, email: str, password: str) -> Any:
        return Srp()


def pool(cognito: Cognito) -> Known:
    return Known("sa-east-1_Pool", "client", admin=None, public=cognito, now=lambda: 59.0)


def test_a_sign_in_proves_the_password_and_nothing_else_where_no_second_factor_is_asked() -> None:
    cognito = Cognito()
    assert pool(cognito).token("ana", "secret") == "token"
    assert cognito.told == [("PASSWORD_VERIFIER", "1")]


def test_an_authenticator_is_enrolled_where_the_pool_asks_for_one() -> None:
    cognito = Cognito("MFA_SETUP")
    assert pool(cognito).token("ana", "secret") == "token"
    assert cognito.told == [("PASSWORD_VERIFIER", "1"), ("code", code(SECRET, 59)), ("MFA_SETUP", "4")]


@pytest.mark.parametrize(
    ("cognito", "says"),
    [
        pytest.param(Cognito("MFA_SETUP", code_is="ERROR"), "first code was not taken", id="code refused"),
        pytest.param(Cognito("NEW_PASSWORD_REQUIRED"), "asks for NEW_PASSWORD_REQUIRED", id="something else"),
    ],
)
def test_a_sign_in_that_does_not_end_is_named(cognito: Cognito, says: str) -> None:
    with pytest.raises(SignInFailed, match=says):
        pool(cognito).token("ana", "secret")


def test_passwords_are_of_every_kind_and_never_the_same() -> None:
    one = password()
    assert one != password()
    assert len(one) >= 14
    assert any(each.isupper() for each in one)
    assert any(each.islower() for each in one)
    assert any(each.isdigit() for each in one)


@pytest.fixture(scope="module")
def emulated() -> Iterator[Pool]:
    """A pool on an emulated Cognito, with a client as ours are."""
    with running() as stack:
        admin = root_client("cognito-idp", stack.url)
        made = admin.create_user_pool(PoolName="users", UsernameAttributes=["email"])["UserPool"]
        client = admin.create_user_pool_client(
            UserPoolId=made["Id"],
            ClientName="app",
            ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        )["UserPoolClient"]
        yield Pool(made["Id"], client["ClientId"], admin, unsigned_cognito(stack.url))


def test_a_user_is_made_signed_in_by_srp_and_gone_again(emulated: Pool) -> None:
    email, secret = "smoke-ana@preview.invalid", password()
    emulated.create(email, secret)
    assert emulated.token(email, secret).count(".") == 2
    emulated.delete(email)
    emulated.delete(email)
    found = emulated.admin.list_users(UserPoolId=emulated.pool_id)["Users"]
    assert found == []
    assert emulated.mfa() in {"OFF", "OPTIONAL", "ON"}
