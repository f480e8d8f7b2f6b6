"""How many pods a service has, and what they ask for all together."""

import pytest

import sizing
from apps.catalog import CATALOG, Catalog, Consumption, Service, Topic
from sizing import Growth, Requests, Scale

LARGE = Growth(max_replicas=8, one_partition=False)
SMALL = Growth(max_replicas=1, one_partition=True)

BANK = Catalog(
    tables=(),
    topics=(Topic("post", partitions=3, retention_hours=1),),
    services=(
        Service("front", kind="api", port=1, replicas=2, cpu_millis=100, memory_mib=64),
        Service(
            "keys",
            kind="api",
            port=2,
            replicas=2,
            cpu_millis=10,
            memory_mib=8,
            egress=frozenset({"dict"}),
        ),
        Service(
            "reader",
            kind="worker",
            port=3,
            replicas=2,
            cpu_millis=200,
            memory_mib=32,
            consumes=Consumption("post", "readers"),
        ),
        Service(
            "single",
            kind="worker",
            port=4,
            replicas=1,
            cpu_millis=1000,
            memory_mib=16,
            consumes=Consumption("post", "single"),
        ),
        Service("relay", kind="worker", port=5, replicas=2, cpu_millis=2000, memory_mib=2),
        Service("bacen", kind="simulator", port=6, replicas=1, cpu_millis=5, memory_mib=1),
        Service("once", kind="job", port=None, replicas=0, cpu_millis=7, memory_mib=4),
    ),
)


@pytest.mark.parametrize(
    ("service", "large", "small"),
    [
        ("front", Scale(2, 8), Scale(1, 1)),
        ("reader", Scale(2, 3), Scale(1, 1)),
        ("single", Scale(1, 1), Scale(1, 1)),
        ("relay", Scale(2, 2), Scale(1, 1)),
        ("bacen", Scale(1, 1), Scale(1, 1)),
        ("once", Scale(0, 0), Scale(0, 0)),
    ],
)
def test_a_service_grows_as_far_as_it_is_of_use(service: str, large: Scale, small: Scale) -> None:
    assert sizing.scale(BANK, BANK.service(service), LARGE) == large
    assert sizing.scale(BANK, BANK.service(service), SMALL) == small


def test_a_group_never_has_more_members_than_the_topic_has_partitions() -> None:
    reader = BANK.service("reader")
    one = Growth(max_replicas=8, one_partition=True)
    assert sizing.scale(BANK, reader, LARGE).high == 3
    assert sizing.scale(BANK, reader, one) == Scale(1, 1)


def test_only_a_scale_with_room_is_not_fixed() -> None:
    assert Scale(2, 2).fixed
    assert not Scale(2, 3).fixed


def test_at_rest_all_pods_but_those_of_jobs_are_counted() -> None:
    assert sizing.least(BANK, SMALL) == Requests(
        cpu_millis=100 + 10 + 200 + 1000 + 2000 + 5,
        memory_mib=64 + 8 + 32 + 16 + 2 + 1,
        pods=6,
        branch_interfaces=1,
    )
    assert sizing.least(BANK, LARGE).pods == 2 + 2 + 2 + 1 + 2 + 1


def test_the_most_is_all_grown_all_rolled_out_and_a_job() -> None:
    assert sizing.most(BANK, LARGE) == Requests(
        cpu_millis=9 * 100 + 9 * 10 + 4 * 200 + 2 * 1000 + 3 * 2000 + 2 * 5 + 7,
        memory_mib=9 * 64 + 9 * 8 + 4 * 32 + 2 * 16 + 3 * 2 + 2 * 1 + 4,
        pods=9 + 9 + 4 + 2 + 3 + 2 + 1,
        branch_interfaces=9,
    )


def test_simulators_and_calls_to_them_are_deployed_only_when_asked_for() -> None:
    with_them, without = sizing.deployed(CATALOG, True), sizing.deployed(CATALOG, False)
    simulators = {"bacen", "other_bank"}
    assert {service.name for service in with_them.services} >= simulators
    assert {service.name for service in without.services} & simulators == set()
    assert len(with_them.services) == len(without.services) + 2
    assert [service.name for service in with_them.called_by("dict_key")] == ["bacen"]
    assert without.called_by("dict_key") == []
    assert sizing.deployed(CATALOG, True) == CATALOG
