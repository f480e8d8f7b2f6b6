"""The DICT's smaller reads: which keys exist, how full the buckets are, what is counted."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from apps.simulators.bacen.markup import find, parse, text
from apps.simulators.bacen.policies import FIXED
from apps.simulators.bacen.statistics import rounded_up
from tests.apps.simulators.bacen import bodies
from tests.apps.simulators.bacen.scene import MARIA, OWN, XML, Scene, problem, scene, served, texts

CHECK = "/api-np/v2/keys/check"


@pytest.fixture
def at() -> Scene:
    return scene()


@pytest.fixture
def client(at: Scene) -> Iterator[TestClient]:
    with served(at) as opened:
        yield opened


def test_keys_are_checked_in_their_order_without_a_signature(client: TestClient) -> None:
    asked = [MARIA, "nobody@example.com", "52998224725", "no key"]
    answer = client.post(CHECK, content=bodies.check_keys(*asked), headers=XML)
    assert answer.status_code == 200
    listed = find(parse(answer.content), "Keys")
    assert listed is not None
    assert [(each.text, each.get("hasEntry")) for each in listed] == list(
        zip(asked, ["true", "false", "true", "false"], strict=True)
    )


@pytest.mark.parametrize(("count", "status"), [(0, 400), (1, 200), (200, 200), (201, 400)])
def test_one_to_two_hundred_keys_are_checked_at_once(client: TestClient, count: int, status: int) -> None:
    answer = client.post(CHECK, content=bodies.check_keys(*[MARIA] * count), headers=XML)
    assert answer.status_code == status


def test_seventy_checks_empty_the_bucket(client: TestClient) -> None:
    for _ in range(70):
        assert client.post(CHECK, content=bodies.check_keys(MARIA), headers=XML).status_code == 200
    problem(client.post(CHECK, content=bodies.check_keys(MARIA), headers=XML), 429, "RateLimited")


def test_a_participant_sees_its_own_buckets(client: TestClient, at: Scene) -> None:
    at.bacen.limits.categorise(OWN, "F")
    root = parse(client.get("/api/v2/policies/").content)
    assert root.tag == "ListPoliciesResponse"
    assert text(root, "Category") == "F"
    listed = find(root, "Policies")
    assert listed is not None
    shown = {
        text(each, "Name"): texts(each, "Capacity", "RefillTokens", "RefillPeriodSec") for each in listed
    }
    assert shown.keys() == {"ENTRIES_READ_PARTICIPANT_ANTISCAN", "ENTRIES_STATISTICS_READ", *FIXED}
    assert shown["ENTRIES_READ_PARTICIPANT_ANTISCAN"] == {
        "Capacity": "500",
        "RefillTokens": "250",
        "RefillPeriodSec": "60",
    }


def test_the_tokens_that_are_shown_are_those_that_are_left(client: TestClient) -> None:
    client.post(CHECK, content=bodies.check_keys(MARIA), headers=XML)
    root = parse(client.get("/api/v2/policies/KEYS_CHECK").content)
    assert root.tag == "GetPolicyResponse"
    assert text(root, "Policy/AvailableTokens") == "69"


@pytest.mark.parametrize("name", ["NONE", "ENTRIES_READ_USER_ANTISCAN"], ids=["unknown", "of users"])
def test_a_policy_that_is_no_participants_is_not_found(client: TestClient, name: str) -> None:
    problem(client.get(f"/api/v2/policies/{name}"), 404, "NotFound")


def test_settled_payments_are_counted_by_key_and_by_person_in_their_windows(
    client: TestClient, at: Scene
) -> None:
    at.pay(at.payment(MARIA))
    at.pay(at.payment(MARIA, instrument="MANU", key=None))

    def windows(path: str, statistics: str) -> dict[str, str]:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        found = find(parse(answer.content), f"{statistics}/Spi/Settlements")
        assert found is not None
        return found.attrib

    path = f"/api/v2/entries/{MARIA}/statistics"
    assert windows(path, "KeyStatistics") == {"d90": "1", "m12": "0", "m60": "0"}
    assert windows(path, "OwnerStatistics") == {"d90": "5", "m12": "0", "m60": "0"}, "rounded up"
    person = f"/api/v2/persons/{at.entry(MARIA).owner.tax_id}/statistics"
    assert windows(person, "OwnerStatistics")["d90"] == "5"
    at.pass_time(40 * 24 * 3600)
    assert windows(person, "OwnerStatistics") == {"d90": "5", "m12": "5", "m60": "5"}, "without this month"
    at.pass_time(50 * 24 * 3600)
    assert windows(person, "OwnerStatistics") == {"d90": "0", "m12": "5", "m60": "5"}


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, 0), (1, 1), (2, 5), (5, 5), (6, 10), (11, 50), (51, 100), (101, 500), (501, 1_000)],
)
def test_counts_are_rounded_up(count: int, shown: int) -> None:
    assert rounded_up(count) == shown


def test_statistics_of_what_is_no_document_or_key_are_refused(client: TestClient) -> None:
    problem(client.get("/api/v2/persons/1/statistics"), 400, "BadRequest")
    problem(client.get("/api/v2/entries/no%20key/statistics"), 400, "BadRequest")


def test_nothing_is_told_to_a_stranger(client: TestClient) -> None:
    answer = client.get("/api/v2/policies/", headers={"PI-RequestingParticipant": "12345678"})
    problem(answer, 403, "Forbidden")
