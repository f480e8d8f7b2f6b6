"""The smoke test that a preview gets after it is up, on the bank of this machine."""

import json

from environments.local.ministack import root_client, unsigned_cognito
from environments.preview.smoke import Broken, Step
from environments.preview.trial import tried
from environments.preview.users import Pool
from tests import transcripts
from tests.environment import Environment


def pool_of(bank: Environment) -> Pool:
    cognito = bank.description["cognito"]
    admin = root_client("cognito-idp", cognito["endpoint"])
    return Pool(cognito["user_pool_id"], cognito["client_id"], admin, unsigned_cognito(cognito["endpoint"]))


def users(pool: Pool) -> set[str]:
    found = pool.admin.list_users(UserPoolId=pool.pool_id, Limit=60)["Users"]
    return {attribute["Value"] for each in found for attribute in each["Attributes"]}


def test_the_bank_passes_and_nobody_is_left_in_its_pool(bank: Environment) -> None:
    pool = pool_of(bank)
    steps: list[Step] = []

    def audit() -> str:
        done = bank.gobank("audit", "--json")
        if done.returncode != 0:
            raise Broken(done.stdout + done.stderr)
        return f"{json.loads(done.stdout)['accounts']} accounts"

    verdict = tried(bank.description["gateway_url"], pool, audit, steps.append)
    assert verdict.passed, "\n".join(map(str, steps))
    assert [each.outcome for each in verdict.steps] == ["ok"] * 6
    said = "\n".join([*(f"  {step}" for step in steps), str(verdict)])
    transcripts.check("smoke", [("./gobank preview up 2>&1 | tail -n 9 | head -n 7", said)])
    assert not [each for each in users(pool) if each.endswith("@preview.invalid")]


def test_a_client_that_is_not_the_pools_fails_and_says_at_which_step(bank: Environment) -> None:
    pool = pool_of(bank)
    wrong = Pool(pool.pool_id, "0000000000000000000000000a", pool.admin, pool.public)
    verdict = tried(bank.description["gateway_url"], wrong, lambda: "not reached", lambda _step: None)
    assert not verdict.passed
    (failed,) = [each for each in verdict.steps if each.outcome == "failed"]
    assert failed.what == "two people are signed in by SRP"
    assert not [each for each in users(pool) if each.endswith("@preview.invalid")]
