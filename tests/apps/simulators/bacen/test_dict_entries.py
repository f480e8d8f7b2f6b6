"""Entries over HTTP: what the DICT answers, byte by byte where it matters."""

import gzip
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from apps.simulators.bacen.directory import vsync
from apps.simulators.bacen.markup import find, parse, text
from apps.simulators.bacen.population import WELL_KNOWN
from tests.apps.simulators.bacen import bodies
from tests.apps.simulators.bacen.scene import (
    BAKERY,
    JOAO,
    MARIA,
    NOON,
    OWN,
    PAYER,
    SHOP,
    WORKSHOP,
    XML,
    Scene,
    lookup_headers,
    problem,
    scene,
    served,
    texts,
)

ENTRIES = "/api/v2/entries/"


@pytest.fixture
def at() -> Scene:
    return scene()


@pytest.fixture
def client(at: Scene) -> Iterator[TestClient]:
    with served(at) as opened:
        yield opened


def look_up(client: TestClient, at: Scene, key: str, **changes: str) -> Any:
    return client.get(ENTRIES + quote(key, safe=""), headers=lookup_headers(at, **changes))


def create(client: TestClient, **changes: Any) -> Any:
    return client.post(ENTRIES, content=bodies.create_entry(**changes), headers=XML)


# --- looking up ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [MARIA, JOAO, "52998224725", BAKERY, WORKSHOP, SHOP])
def test_a_key_leads_to_account_and_owner(client: TestClient, at: Scene, key: str) -> None:
    answer = look_up(client, at, key)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/xml"
    root = parse(answer.content)
    entry = at.entry(key)
    assert [child.tag for child in root] == ["Signature", "ResponseTime", "CorrelationId", "Entry"]
    assert text(root, "ResponseTime") == "2026-11-25T15:00:00.000Z"
    assert texts(
        root,
        "Entry/Key",
        "Entry/KeyType",
        "Entry/Account/Participant",
        "Entry/Account/AccountNumber",
        "Entry/Owner/TaxIdNumber",
        "Entry/Owner/Name",
        "Entry/Owner/TradeName",
    ) == {
        "Entry/Key": key,
        "Entry/KeyType": entry.key_type,
        "Entry/Account/Participant": entry.account.participant,
        "Entry/Account/AccountNumber": entry.account.number,
        "Entry/Owner/TaxIdNumber": entry.owner.tax_id,
        "Entry/Owner/Name": entry.owner.name,
        "Entry/Owner/TradeName": entry.owner.trade_name,
    }
    opened = text(root, "Entry/Account/OpeningDate")
    assert opened is not None
    assert opened.endswith("T03:00:00.000Z"), "a day in Brasília begins at three"


@pytest.mark.parametrize(
    ("key", "cache"),
    [
        (MARIA, "no-store"),
        ("52998224725", "no-store"),
        (BAKERY, "private, max-age=180"),
        (SHOP, "private, max-age=180"),
    ],
)
def test_only_companies_keys_may_be_cached_and_no_longer_than_180_seconds(
    client: TestClient, at: Scene, key: str, cache: str
) -> None:
    assert look_up(client, at, key).headers["cache-control"] == cache


@pytest.mark.parametrize("name", ["PI_RequestingParticipant", "PI_PayerId", "PI_EndToEndId"])
@pytest.mark.parametrize("key", [MARIA, BAKERY, SHOP])
def test_no_look_up_goes_without_its_three_headers_whatever_the_key(
    client: TestClient, at: Scene, name: str, key: str
) -> None:
    root = problem(look_up(client, at, key, **{name: ""}), 400, "BadRequest")
    assert texts(root, "violations/violation/property", "violations/violation/reason") == {
        "violations/violation/property": name.replace("_", "-"),
        "violations/violation/reason": "is missing",
    }


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("PI_PayerId", "111.444.777-35"),
        ("PI_PayerId", "1114447773"),
        ("PI_PayerId", "ana@example.com"),
        ("PI_RequestingParticipant", "9999901"),
        ("PI_EndToEndId", "E9999901012341234123412345678900"),  # the specification's: no such month
        ("PI_EndToEndId", "D9999901020261125150012345678900"),
        ("PI_EndToEndId", "E999990102026112515001234567890"),
    ],
)
def test_headers_of_another_form_are_refused_and_cost_nothing(
    client: TestClient, at: Scene, header: str, value: str
) -> None:
    problem(look_up(client, at, MARIA, **{header: value}), 400, "BadRequest")
    assert at.bacen.limits.bucket("ENTRIES_READ_USER_ANTISCAN", PAYER.tax_id).tokens(NOON) == 100


def test_the_participant_may_be_written_in_lower_case(client: TestClient) -> None:
    at = scene()
    at.bacen.participants |= {"99999A04"}
    with served(at) as other:
        assert look_up(other, at, MARIA, PI_RequestingParticipant="99999a04").status_code == 200


def test_a_stranger_may_not_look_anything_up(client: TestClient, at: Scene) -> None:
    problem(look_up(client, at, MARIA, PI_RequestingParticipant="12345678"), 403, "Forbidden")


def test_a_key_that_nobody_has_is_not_found(client: TestClient, at: Scene) -> None:
    root = problem(look_up(client, at, "nobody@example.com"), 404, "NotFound")
    assert text(root, "detail") == "Entry associated with given key does not exist"
    assert len(text(root, "correlationId") or "") == 32


@pytest.mark.parametrize("key", ["Maria.Silva@example.com", "529.982.247-25", "5511987650001", "x"])
def test_a_key_that_is_none_is_refused_not_put_in_order(client: TestClient, at: Scene, key: str) -> None:
    root = problem(look_up(client, at, key), 400, "BadRequest")
    assert text(root, "violations/violation/value") == key


def test_a_key_of_the_payers_own_bank_is_none_of_the_dicts_business(client: TestClient, at: Scene) -> None:
    created = create(client)
    assert created.status_code == 201
    problem(look_up(client, at, bodies.KEY), 400, "EntryCannotBeQueriedForBookTransfer")
    assert at.bacen.limits.bucket("ENTRIES_READ_USER_ANTISCAN", PAYER.tax_id).tokens(NOON) == 100


@pytest.mark.parametrize(
    "known", [each for each in WELL_KNOWN if each.restriction], ids=lambda each: str(each.restriction)
)
def test_a_restricted_entry_answers_its_own_error(client: TestClient, at: Scene, known: Any) -> None:
    problem(look_up(client, at, known.key), 400, known.restriction)


def test_a_slash_in_an_address_is_part_of_the_key(client: TestClient, at: Scene) -> None:
    assert create(client, key="ana/pix+1@example.com").status_code == 201
    answer = look_up(client, at, "ana/pix+1@example.com", PI_RequestingParticipant="60701190")
    assert text(parse(answer.content), "Entry/Key") == "ana/pix+1@example.com"


def test_an_empty_bucket_answers_429_without_saying_when_to_come_again(client: TestClient, at: Scene) -> None:
    for _ in range(5):
        problem(look_up(client, at, "nobody@example.com"), 404, "NotFound")
    refused = look_up(client, at, MARIA)
    problem(refused, 429, "RateLimited")
    assert "retry-after" not in refused.headers, "none is documented"
    assert look_up(client, at, BAKERY).status_code == 200, "companies' keys have the other bucket"
    at.pass_time(30)
    assert look_up(client, at, MARIA).status_code == 200


def test_statistics_come_only_when_they_are_asked_for(client: TestClient, at: Scene) -> None:
    plain = parse(look_up(client, at, MARIA).content)
    assert find(plain, "OwnerStatistics") is None
    asked = client.get(f"{ENTRIES}{MARIA}?IncludeStatistics=true", headers=lookup_headers(at))
    root = parse(asked.content)
    assert [child.tag for child in root][3:] == ["Entry", "OwnerStatistics", "KeyStatistics"]
    windows = find(root, "KeyStatistics/Spi/Settlements")
    assert windows is not None
    assert windows.attrib == {"d90": "0", "m12": "0", "m60": "0"}
    assert text(root, "OwnerStatistics/Entries/RegisteredAccounts") == "1"


# --- the wire -----------------------------------------------------------------------------------


def test_connections_are_kept_and_answers_are_compressed_for_who_asks(client: TestClient, at: Scene) -> None:
    plain = look_up(client, at, MARIA)
    assert plain.headers["keep-alive"] == "timeout=75"
    assert "content-encoding" not in plain.headers
    headers = lookup_headers(at) | {"Accept-Encoding": "gzip"}
    with client.stream("GET", ENTRIES + MARIA, headers=headers) as answer:
        raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
    assert text(parse(gzip.decompress(raw)), "Entry/Key") == MARIA


def test_a_compressed_request_is_refused(client: TestClient) -> None:
    body = gzip.compress(bodies.create_entry())
    answer = client.post(ENTRIES, content=body, headers=XML | {"Content-Encoding": "gzip"})
    problem(answer, 400, "BadRequest")


def test_json_is_refused(client: TestClient) -> None:
    answer = client.post(ENTRIES, json={"Key": MARIA})
    problem(answer, 400, "BadRequest")


def test_there_is_no_delete(client: TestClient, at: Scene) -> None:
    problem(client.delete(ENTRIES + MARIA), 405, "MethodNotAllowed")
    assert at.bacen.directory.get(MARIA) is not None


@pytest.mark.parametrize("path", ["/api/v2/infraction-reports/", "/api/v2/nothing", "/api-np/v2/nothing"])
def test_what_is_not_there_is_a_problem_too(client: TestClient, path: str) -> None:
    problem(client.get(path), 404, "NotFound")


# --- adding -------------------------------------------------------------------------------------


def test_a_new_key_is_there_for_others(client: TestClient, at: Scene) -> None:
    created = create(client)
    assert created.status_code == 201
    root = parse(created.content)
    assert root.tag == "CreateEntryResponse"
    assert root[0].tag == "Signature"
    assert texts(root, "Entry/CreationDate", "Entry/KeyOwnershipDate") == {
        "Entry/CreationDate": "2026-11-25T15:00:00.000Z",
        "Entry/KeyOwnershipDate": "2026-11-25T15:00:00.000Z",
    }
    found = look_up(client, at, bodies.KEY, PI_RequestingParticipant="60701190")
    assert text(parse(found.content), "Entry/Account/Participant") == OWN


def test_a_random_key_is_made_here(client: TestClient) -> None:
    key = text(parse(create(client, key=None, key_type="EVP").content), "Entry/Key")
    assert key is not None
    assert str(uuid.UUID(key)) == key
    assert uuid.UUID(key).version == 4


@pytest.mark.parametrize("key_type", ["EMAIL", "EVP"])
def test_the_same_request_again_gives_the_same_entry(client: TestClient, key_type: str) -> None:
    key = bodies.KEY if key_type == "EMAIL" else None
    request = bodies.create_entry(key=key, key_type=key_type)
    first, second = (client.post(ENTRIES, content=request, headers=XML) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert text(parse(first.content), "Entry/Key") == text(parse(second.content), "Entry/Key")


def test_a_request_id_belongs_to_one_entry(client: TestClient) -> None:
    request_id = str(uuid.UUID(int=1, version=4))
    assert create(client, request_id=request_id).status_code == 201
    again = create(client, request_id=request_id, name="Ana Lima Souza")
    problem(again, 400, "RequestIdAlreadyUsed")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        pytest.param({"key": "Ana@example.com"}, "EntryInvalid", "entry.key", id="not in lower case"),
        pytest.param(
            {"key": "5511987650009", "key_type": "PHONE"},
            "EntryInvalid",
            "entry.key",
            id="phone without plus",
        ),
        pytest.param({"key": "x", "key_type": "FAX"}, "EntryInvalid", "entry.keyType", id="no such type"),
        pytest.param({"key": None}, "EntryInvalid", "entry.key", id="no key"),
        pytest.param({"key_type": "EVP"}, "EntryInvalid", "entry.key", id="a random key of one's own"),
        pytest.param({"branch": "00001"}, "EntryInvalid", "entry.account.branch", id="branch"),
        pytest.param({"number": "1-2"}, "EntryInvalid", "entry.account.accountNumber", id="number"),
        pytest.param(
            {"account_type": "GOLD"}, "EntryInvalid", "entry.account.accountType", id="account type"
        ),
        pytest.param({"name": "R2D2"}, "EntryInvalid", "entry.owner.name", id="name"),
        pytest.param({"name": "A" * 151}, "EntryInvalid", "entry.owner.name", id="long name"),
        pytest.param({"person": "LEGAL_PERSON"}, "EntryInvalid", "entry.owner.type", id="type of person"),
        pytest.param({"opened": "2020-01-10"}, "BadRequest", "entry.account.openingDate", id="date"),
        pytest.param({"request_id": "1"}, "BadRequest", "requestId", id="request id"),
        pytest.param(
            {"request_id": "00000000-0000-1000-8000-000000000000"}, "BadRequest", "requestId", id="version 1"
        ),
        pytest.param({"reason": ""}, "BadRequest", "reason", id="no reason"),
        pytest.param({"reason": "ACCOUNT_CLOSURE"}, "InvalidReason", None, id="reason of another operation"),
        pytest.param({"participant": "12345678"}, "Forbidden", None, id="stranger"),
        pytest.param(
            {"key": "52998224725", "key_type": "CPF"},
            "EntryTaxIdNumberByDifferentOwner",
            None,
            id="other's CPF",
        ),
        pytest.param({"key": MARIA}, "EntryKeyOwnedByDifferentPerson", None, id="another person's"),
        pytest.param({"signature": ""}, "RequestSignatureInvalid", None, id="not signed"),
    ],
)
def test_what_cannot_be_added_says_why(
    client: TestClient, changes: dict[str, Any], code: str, field: str | None
) -> None:
    root = problem(create(client, **changes), 403 if code == "Forbidden" else 400, code)
    assert text(root, "violations/violation/property") == field


def test_a_key_of_the_same_person_elsewhere_is_for_portability(client: TestClient, at: Scene) -> None:
    owner = at.entry(MARIA).owner
    answer = create(client, key=MARIA, tax_id=owner.tax_id, name=owner.name)
    problem(answer, 400, "EntryKeyInCustodyOfDifferentParticipant")


def test_a_key_that_is_there_already_is_not_added_again(client: TestClient) -> None:
    assert create(client).status_code == 201
    problem(create(client), 400, "EntryAlreadyExists")


@pytest.mark.parametrize(
    ("owner", "allowed"),
    [
        ({"tax_id": PAYER.tax_id}, 5),
        ({"tax_id": "11222333000262", "name": "Loja 1 Ltda", "person": "LEGAL_PERSON"}, 20),
    ],
    ids=["person", "company"],
)
def test_an_account_has_only_so_many_keys(client: TestClient, owner: dict[str, str], allowed: int) -> None:
    for _ in range(allowed):
        assert create(client, key=None, key_type="EVP", **owner).status_code == 201
    problem(create(client, key=None, key_type="EVP", **owner), 400, "EntryLimitExceeded")
    assert create(client, key=None, key_type="EVP", number="777", **owner).status_code == 201


def test_unknown_elements_and_attributes_do_not_disturb(client: TestClient) -> None:
    request = bodies.create_entry(more="<NewField when='2027'><Deep/></NewField>")
    assert client.post(ENTRIES, content=request, headers=XML).status_code == 201


def test_a_company_of_2026_has_its_letters_in_upper_case(client: TestClient, at: Scene) -> None:
    owner = {"tax_id": "abcdefghijkl80", "name": "Loja 2 Ltda", "person": "LEGAL_PERSON"}
    root = parse(create(client, key="abcdefghijkl80", key_type="CNPJ", **owner).content)
    assert text(root, "Entry/Key") == "ABCDEFGHIJKL80"
    assert at.bacen.directory.get("abcdefghijkl80") is not None


def test_writing_is_limited_and_each_status_but_500_costs_one(client: TestClient, at: Scene) -> None:
    create(client)
    create(client, reason="")
    client.post(ENTRIES, content=b"<broken", headers=XML)
    assert at.bacen.limits.bucket("ENTRIES_WRITE", OWN).tokens(NOON) == 36_000 - 3


# --- changing and taking out --------------------------------------------------------------------


def update(client: TestClient, key: str, **changes: Any) -> Any:
    return client.put(
        ENTRIES + quote(key, safe=""), content=bodies.update_entry(key=key, **changes), headers=XML
    )


def delete(client: TestClient, key: str, **changes: Any) -> Any:
    path = f"{ENTRIES}{quote(key, safe='')}/delete"
    return client.post(path, content=bodies.delete_entry(key=key, **changes), headers=XML)


def test_account_and_name_can_be_changed_the_owner_cannot(client: TestClient) -> None:
    create(client)
    changed = parse(update(client, bodies.KEY, number="0000099999", name="Ana Lima").content)
    assert changed.tag == "UpdateEntryResponse"
    assert texts(changed, "Entry/Account/AccountNumber", "Entry/Owner/Name") == {
        "Entry/Account/AccountNumber": "0000099999",
        "Entry/Owner/Name": "Ana Lima",
    }
    root = problem(update(client, bodies.KEY, tax_id="52998224725"), 400, "EntryInvalid")
    assert text(root, "violations/violation/property") == "owner.taxIdNumber"


def test_a_random_key_is_not_changed_for_its_user(client: TestClient) -> None:
    key = text(parse(create(client, key=None, key_type="EVP").content), "Entry/Key") or ""
    problem(update(client, key), 400, "InvalidReason")
    assert update(client, key, reason="BRANCH_TRANSFER").status_code == 200


@pytest.mark.parametrize("operation", [update, delete], ids=["update", "delete"])
def test_only_its_own_participant_touches_a_key(client: TestClient, operation: Any) -> None:
    problem(operation(client, MARIA), 403, "Forbidden")
    problem(operation(client, "nobody@example.com"), 404, "NotFound")


def test_a_deleted_key_is_gone_and_free_again(client: TestClient, at: Scene) -> None:
    create(client)
    answer = delete(client, bodies.KEY)
    assert answer.status_code == 200
    assert texts(parse(answer.content), "Key") == {"Key": bodies.KEY}
    problem(look_up(client, at, bodies.KEY, PI_RequestingParticipant="60701190"), 404, "NotFound")
    assert create(client).status_code == 201


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"reason": "BRANCH_TRANSFER"}, 400, "InvalidReason"),
        ({"in_body": "other@example.com"}, 400, "BadRequest"),
        ({"signature": ""}, 400, "RequestSignatureInvalid"),
        ({"participant": ""}, 200, None),  # this environment's bank is meant
    ],
)
def test_a_deletion_says_what_whose_and_why(
    client: TestClient, changes: dict[str, str], status: int, code: str | None
) -> None:
    create(client)
    answer = delete(client, bodies.KEY, **changes)
    if code is None:
        assert answer.status_code == status
    else:
        problem(answer, status, code)


def test_who_writes_for_another_participant_is_refused(client: TestClient) -> None:
    headers = XML | {"PI-RequestingParticipant": "60701190"}
    answer = client.post(ENTRIES, content=bodies.create_entry(), headers=headers)
    problem(answer, 403, "Forbidden")


# --- contents -----------------------------------------------------------------------------------


def test_the_identifier_of_a_content_is_the_specifications(at: Scene) -> None:
    """The example of D2, whose document nobody can have."""
    entry = bodies.specification_entry()
    assert entry.cid == "28c06eb41c4dc9c3ae114831efcac7446c8747777fca8b145ecd31ff8480ae88"
    others = [
        "4d4abb9168114e349672b934d16ed201a919cb49e28b7f66a240e62c92ee007f",
        "fce514f84f37934bc8aa0f861e4f7392273d71b9d18e8209d21e4192a7842058",
    ]
    assert vsync([entry.cid, *others]) == "996fc1dd3b6b14bcf0c9fe8320eb66d7e2a3fd874ccf767b2e939641b1ea8eaf"
    assert vsync([]) == "0" * 64
