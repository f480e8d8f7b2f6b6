"""Claims over HTTP: who may do what, in which state, and when it is too early."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from apps.simulators.bacen.markup import Element, find, local, parse, text
from tests.apps.simulators.bacen import bodies
from tests.apps.simulators.bacen.scene import (
    BAKERY,
    JOAO,
    MARIA,
    OWN,
    SHOP,
    XML,
    Scene,
    lookup_headers,
    problem,
    scene,
    served,
    texts,
)

CLAIMS = "/api/v2/claims/"
DAY = 24 * 3600
BANK_OF_JOAO, BANK_OF_MARIA = "60701190", "18236120"


@pytest.fixture
def at() -> Scene:
    return scene()


@pytest.fixture
def client(at: Scene) -> Iterator[TestClient]:
    with served(at) as opened:
        yield opened


def claim(client: TestClient, kind: str, key: str, key_type: str, **person: str) -> Any:
    body = bodies.create_claim(kind=kind, key=key, key_type=key_type, **person)
    return client.post(CLAIMS, content=body, headers=XML)


def owned(client: TestClient) -> str:
    """A claim of this bank's customer on João's telephone."""
    return _id(claim(client, "OWNERSHIP", JOAO, "PHONE"))


def ported(client: TestClient, at: Scene) -> str:
    """A claim of this bank for Maria, who brings her key along."""
    owner = at.entry(MARIA).owner
    return _id(claim(client, "PORTABILITY", MARIA, "EMAIL", tax_id=owner.tax_id, name=owner.name))


def _id(answer: Any) -> str:
    assert answer.status_code == 201, answer.text
    found = text(parse(answer.content), "Claim/Id")
    assert found is not None
    return found


def act(
    client: TestClient, action: str, claim_id: str, by: str, reason: str = "", *, request_id: str = ""
) -> Any:
    body = bodies.act_on_claim(action, claim_id, by, reason, request_id)
    return client.post(f"{CLAIMS}{claim_id}/{action}", content=body, headers=XML)


def complete(client: TestClient, claim_id: str, by: str = OWN, request_id: str | None = None) -> Any:
    return act(client, "complete", claim_id, by, request_id=request_id or str(uuid.uuid4()))


def state(answer: Any) -> str | None:
    assert answer.status_code in {200, 201}, answer.text
    return text(parse(answer.content), "Claim/Status")


def listed(client: TestClient, query: str) -> list[Element]:
    answer = client.get(f"{CLAIMS}?{query}")
    assert answer.status_code == 200, answer.text
    found = find(parse(answer.content), "Claims")
    return list(found) if found is not None else []


def test_a_new_claim_is_open_and_has_its_periods(client: TestClient) -> None:
    answer = claim(client, "OWNERSHIP", JOAO, "PHONE")
    assert answer.status_code == 201
    root = parse(answer.content)
    shown = find(root, "Claim")
    assert shown is not None
    assert [local(child) for child in shown] == [
        "Type",
        "Key",
        "KeyType",
        "ClaimerAccount",
        "Claimer",
        "DonorParticipant",
        "Id",
        "Status",
        "ResolutionPeriodEnd",
        "CompletionPeriodEnd",
        "LastModified",
    ]
    assert texts(shown, "Status", "DonorParticipant", "ResolutionPeriodEnd", "CompletionPeriodEnd") == {
        "Status": "OPEN",
        "DonorParticipant": BANK_OF_JOAO,
        "ResolutionPeriodEnd": "2026-12-02T15:00:00.000Z",
        "CompletionPeriodEnd": "2026-12-09T15:00:00.000Z",
    }


def test_portability_has_no_longer_period_for_its_completion(client: TestClient, at: Scene) -> None:
    shown = parse(client.get(CLAIMS + ported(client, at)).content)
    assert text(shown, "Claim/CompletionPeriodEnd") == text(shown, "Claim/ResolutionPeriodEnd")


@pytest.mark.parametrize(
    ("kind", "key", "key_type", "status", "code"),
    [
        pytest.param(
            "OWNERSHIP", MARIA, "EMAIL", 400, "ClaimInvalid", id="ownership of an e-mail, gone in v2"
        ),
        pytest.param("OWNERSHIP", BAKERY, "CNPJ", 400, "ClaimInvalid", id="ownership of a document"),
        pytest.param("PORTABILITY", SHOP, "EVP", 400, "ClaimInvalid", id="a random key"),
        pytest.param("THEFT", JOAO, "PHONE", 400, "ClaimInvalid", id="no such type"),
        pytest.param("OWNERSHIP", JOAO[1:], "PHONE", 400, "ClaimInvalid", id="no telephone"),
        pytest.param("OWNERSHIP", "+5511999999999", "PHONE", 404, "ClaimKeyNotFound", id="nobody's key"),
        pytest.param(
            "PORTABILITY", JOAO, "PHONE", 400, "ClaimTypeInconsistent", id="portability of another's"
        ),
    ],
)
def test_what_cannot_be_claimed_says_why(
    client: TestClient, *, kind: str, key: str, key_type: str, status: int, code: str
) -> None:
    problem(claim(client, kind, key, key_type), status, code)


def test_ownership_of_ones_own_key_is_the_wrong_claim(client: TestClient, at: Scene) -> None:
    owner = at.entry(JOAO).owner
    answer = claim(client, "OWNERSHIP", JOAO, "PHONE", tax_id=owner.tax_id, name=owner.name)
    problem(answer, 400, "ClaimTypeInconsistent")


def test_what_one_has_already_cannot_be_claimed(client: TestClient, at: Scene) -> None:
    owner = at.entry(JOAO).owner
    mine = {"participant": BANK_OF_JOAO, "tax_id": owner.tax_id, "name": owner.name}
    problem(claim(client, "PORTABILITY", JOAO, "PHONE", **mine), 400, "ClaimResultingEntryAlreadyExists")


def test_a_key_has_one_open_claim_which_locks_it(client: TestClient, at: Scene) -> None:
    claim_id = owned(client)
    problem(claim(client, "OWNERSHIP", JOAO, "PHONE"), 400, "ClaimAlreadyExistsForKey")
    body = bodies.delete_entry(key=JOAO, participant=BANK_OF_JOAO)
    locked = client.post("/api/v2/entries/%2B5511987650001/delete", content=body, headers=XML)
    problem(locked, 400, "EntryLockedByClaim")
    assert state(act(client, "cancel", claim_id, OWN, "USER_REQUESTED")) == "CANCELLED"
    assert claim(client, "OWNERSHIP", JOAO, "PHONE").status_code == 201


def test_look_ups_work_while_a_claim_waits_and_find_nobody_once_it_is_confirmed(
    client: TestClient, at: Scene
) -> None:
    claim_id = owned(client)
    path = "/api/v2/entries/%2B5511987650001"
    shown = parse(client.get(path, headers=lookup_headers(at)).content)
    assert text(shown, "Entry/OpenClaimCreationDate") == "2026-11-25T15:00:00.000Z"
    act(client, "acknowledge", claim_id, BANK_OF_JOAO)
    assert client.get(path, headers=lookup_headers(at)).status_code == 200
    act(client, "confirm", claim_id, BANK_OF_JOAO, "USER_REQUESTED")
    problem(client.get(path, headers=lookup_headers(at)), 404, "NotFound")
    taken = client.post(
        "/api/v2/entries/", content=bodies.create_entry(key=JOAO, key_type="PHONE"), headers=XML
    )
    problem(taken, 400, "EntryLockedByClaim")


def test_portability_goes_through_and_the_owner_has_owned_it_all_the_time(
    client: TestClient, at: Scene
) -> None:
    since = at.entry(MARIA).owned_since
    claim_id = ported(client, at)
    assert state(act(client, "acknowledge", claim_id, BANK_OF_MARIA)) == "WAITING_RESOLUTION"
    assert state(act(client, "confirm", claim_id, BANK_OF_MARIA, "USER_REQUESTED")) == "CONFIRMED"
    request_id = str(uuid.uuid4())
    first, second = (complete(client, claim_id, request_id=request_id) for _ in range(2))
    assert (state(first), state(second)) == ("COMPLETED", "COMPLETED")
    assert first.content.partition(b"<Claim>")[2] == second.content.partition(b"<Claim>")[2]
    assert texts(parse(first.content), "EntryCreationDate", "KeyOwnershipDate") == {
        "EntryCreationDate": "2026-11-25T15:00:00.000Z",
        "KeyOwnershipDate": f"{since:%Y-%m-%dT%H:%M:%S}.000Z",
    }
    assert at.entry(MARIA).account.participant == OWN
    problem(complete(client, claim_id), 400, "ClaimOperationInvalid")


def test_an_owner_who_agrees_gives_the_key_at_once(client: TestClient, at: Scene) -> None:
    claim_id = owned(client)
    act(client, "acknowledge", claim_id, BANK_OF_JOAO)
    confirmed = act(client, "confirm", claim_id, BANK_OF_JOAO, "USER_REQUESTED")
    assert text(parse(confirmed.content), "Claim/CompletionPeriodEnd") == "2026-11-25T15:00:00.000Z"
    taken = parse(complete(client, claim_id).content)
    assert text(taken, "KeyOwnershipDate") == "2026-11-25T15:00:00.000Z", "a new owner begins today"


def test_an_owner_who_keeps_silent_loses_the_key_on_the_fourteenth_day(client: TestClient, at: Scene) -> None:
    claim_id = owned(client)
    act(client, "acknowledge", claim_id, BANK_OF_JOAO)
    early = act(client, "confirm", claim_id, BANK_OF_JOAO, "DEFAULT_OPERATION")
    problem(early, 400, "ClaimResolutionPeriodNotEnded")
    at.pass_time(7 * DAY)  # the donor does it by itself, as banks do
    problem(complete(client, claim_id), 400, "ClaimCompletionPeriodNotEnded")
    at.pass_time(7 * DAY - 1)
    problem(complete(client, claim_id), 400, "ClaimCompletionPeriodNotEnded")
    at.pass_time(1)
    assert state(complete(client, claim_id)) == "COMPLETED"


def test_a_donor_that_answers_by_itself_sees_a_claim_within_a_minute(client: TestClient, at: Scene) -> None:
    claim_id = owned(client)
    at.pass_time(59)
    assert state(client.get(CLAIMS + claim_id)) == "OPEN"
    at.pass_time(1)
    assert state(client.get(CLAIMS + claim_id)) == "WAITING_RESOLUTION"


def test_unanswered_portability_is_cancelled_and_the_key_stays(client: TestClient, at: Scene) -> None:
    claim_id = ported(client, at)
    at.pass_time(7 * DAY)
    shown = parse(client.get(CLAIMS + claim_id).content)
    assert texts(shown, "Claim/Status", "Claim/CancelReason", "Claim/CancelledBy") == {
        "Claim/Status": "CANCELLED",
        "Claim/CancelReason": "DEFAULT_OPERATION",
        "Claim/CancelledBy": "DONOR",
    }
    assert at.entry(MARIA).account.participant == BANK_OF_MARIA


def test_another_bank_claims_a_key_from_here_and_takes_it_in_time(client: TestClient, at: Scene) -> None:
    created = bodies.create_entry(key="+5511977770000", key_type="PHONE")
    assert client.post("/api/v2/entries/", content=created, headers=XML).status_code == 201
    other = {"participant": BANK_OF_JOAO, "tax_id": "52998224725", "name": "Antônio Souza"}
    claim_id = _id(claim(client, "OWNERSHIP", "+5511977770000", "PHONE", **other))
    assert [text(each, "Id") for each in listed(client, f"Participant={OWN}&IsDonor=true")] == [claim_id]
    at.pass_time(60)
    assert state(client.get(CLAIMS + claim_id)) == "OPEN", "nobody here has seen it yet"
    act(client, "acknowledge", claim_id, OWN)
    act(client, "confirm", claim_id, OWN, "USER_REQUESTED")
    at.pass_time(14 * DAY)
    assert at.entry("+5511977770000").account.participant == BANK_OF_JOAO


@pytest.mark.parametrize(
    ("action", "by", "reason", "status", "code"),
    [
        pytest.param("acknowledge", OWN, "", 403, "Forbidden", id="the claimer acknowledges"),
        pytest.param("confirm", OWN, "USER_REQUESTED", 403, "Forbidden", id="the claimer confirms"),
        pytest.param(
            "confirm", BANK_OF_JOAO, "USER_REQUESTED", 400, "ClaimOperationInvalid", id="confirmed unseen"
        ),
        pytest.param("complete", BANK_OF_JOAO, "", 403, "Forbidden", id="the donor completes"),
        pytest.param("complete", OWN, "", 400, "ClaimOperationInvalid", id="completed unconfirmed"),
        pytest.param(
            "cancel", BANK_OF_JOAO, "USER_REQUESTED", 400, "InvalidReason", id="the donor of an ownership"
        ),
        pytest.param("cancel", BANK_OF_MARIA, "USER_REQUESTED", 403, "Forbidden", id="a third bank"),
        pytest.param(
            "cancel", OWN, "PARTICIPANT_EXCLUSION", 400, "InvalidReason", id="the DICT's own reason"
        ),
        pytest.param(
            "cancel", OWN, "DEFAULT_OPERATION", 400, "ClaimResolutionPeriodNotEnded", id="before day thirty"
        ),
        pytest.param("explode", OWN, "", 404, "NotFound", id="no such action"),
    ],
)
def test_an_open_ownership_claim_refuses(
    client: TestClient, *, action: str, by: str, reason: str, status: int, code: str
) -> None:
    answer = act(client, action, owned(client), by, reason, request_id=str(uuid.UUID(int=1, version=4)))
    problem(answer, status, code)


def test_who_has_not_proven_ownership_by_day_thirty_is_out(client: TestClient, at: Scene) -> None:
    claim_id = owned(client)
    at.pass_time(30 * DAY)
    assert state(act(client, "cancel", claim_id, OWN, "DEFAULT_OPERATION")) == "CANCELLED"


def test_a_donor_may_stop_a_fraud(client: TestClient, at: Scene) -> None:
    assert state(act(client, "cancel", owned(client), BANK_OF_JOAO, "FRAUD")) == "CANCELLED"
    assert at.entry(JOAO).account.participant == BANK_OF_JOAO


@pytest.mark.parametrize("action", ["acknowledge", "confirm", "cancel"])
def test_the_same_step_twice_is_one_step(client: TestClient, at: Scene, action: str) -> None:
    claim_id = ported(client, at)
    steps = {"acknowledge": "", "confirm": "USER_REQUESTED", "cancel": "FRAUD"}
    if action == "confirm":
        act(client, "acknowledge", claim_id, BANK_OF_MARIA)
    first, second = (act(client, action, claim_id, BANK_OF_MARIA, steps[action]) for _ in range(2))
    assert state(first) == state(second)


def test_a_confirmed_portability_ends_only_for_fraud_and_the_like(client: TestClient, at: Scene) -> None:
    claim_id = ported(client, at)
    act(client, "acknowledge", claim_id, BANK_OF_MARIA)
    problem(act(client, "cancel", claim_id, OWN, "RECONCILIATION"), 400, "InvalidReason")
    act(client, "confirm", claim_id, BANK_OF_MARIA, "ACCOUNT_CLOSURE")
    problem(act(client, "cancel", claim_id, OWN, "USER_REQUESTED"), 400, "ClaimOperationInvalid")
    assert state(act(client, "cancel", claim_id, OWN, "FRAUD")) == "CANCELLED"
    assert at.bacen.directory.get(MARIA) is None, "what was given away does not come back"


def test_claims_are_listed_by_role_state_and_time(client: TestClient, at: Scene) -> None:
    first = owned(client)
    at.pass_time(3600)
    second = ported(client, at)

    def ids(query: str) -> list[str | None]:
        return [text(each, "Id") for each in listed(client, f"Participant={OWN}{query}")]

    assert ids("") == [first, second], "the one changed longest ago first"
    assert ids("&IsClaimer=true") == [first, second]
    assert ids("&IsDonor=true") == []
    assert ids("&IsDonor=true&IsClaimer=true") == [first, second]
    assert ids("&Type=PORTABILITY") == [second]
    assert ids("&Status=OPEN") == [second], "the donor has seen the first"
    assert ids("&Status=OPEN&Status=WAITING_RESOLUTION") == [first, second]
    assert ids("&ModifiedAfter=2026-11-25T15:30:00Z") == [second]
    assert ids("&ModifiedBefore=2026-11-25T15:30:00Z") == [first]
    answer = parse(client.get(f"{CLAIMS}?Participant={OWN}&Limit=1").content)
    assert text(answer, "HasMoreElements") == "true"


@pytest.mark.parametrize(
    "query", ["", "Participant=&x=1", f"Participant={OWN}&IsDonor=yes", f"Participant={OWN}&Limit=x"]
)
def test_a_list_without_whose_it_is_is_refused(client: TestClient, query: str) -> None:
    problem(client.get(f"{CLAIMS}?{query}"), 400, "BadRequest")


@pytest.mark.parametrize(
    ("query", "policy", "capacity"),
    [("", "CLAIMS_LIST_WITHOUT_ROLE", 50), ("&IsDonor=true", "CLAIMS_LIST_WITH_ROLE", 200)],
)
def test_lists_by_role_have_the_wider_limit(
    client: TestClient, at: Scene, query: str, policy: str, capacity: int
) -> None:
    for _ in range(capacity):
        assert client.get(f"{CLAIMS}?Participant={OWN}{query}").status_code == 200
    problem(client.get(f"{CLAIMS}?Participant={OWN}{query}"), 429, "RateLimited")


@pytest.mark.parametrize("claim_id", ["1", str(uuid.UUID(int=7))])
def test_a_claim_that_is_not_there_is_not_found(client: TestClient, claim_id: str) -> None:
    problem(client.get(CLAIMS + claim_id), 404, "NotFound")
