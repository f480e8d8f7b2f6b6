"""Alarms on what the services say of themselves, and on what customers see of the API."""

from collections.abc import Iterator, Mapping

import pulumi

import names
from alarms import Alarm, Reading, Watched, audit_window
from apps.catalog import Service


def of_the_bank(watched: Watched) -> Iterator[Alarm]:
    """Ledger, events and API."""
    yield from _ledger(watched)
    yield from _events(watched)
    yield from _waiting(watched)
    yield from _rail(watched)
    yield from _api(watched)


def _ledger(watched: Watched) -> Iterator[Alarm]:
    window = audit_window(watched.audit_seconds)
    yield Alarm(
        "ledger-drift",
        urgent=True,
        advice="a balance is not what its entries add up to, or the auditor is silent (no data counts as an"
        " alarm). Run the operators' audit. With drift: the account is frozen and stays so until an audit of"
        " it is clean; find what wrote to it. Without: see why audit_ledger does not run.",
        readings={"m": watched.emitted("audit_ledger", "drift", "Maximum")},
        threshold=0,
        seconds=window,
        periods=1,
        missing="breaching",
    )
    yield Alarm(
        "ledger-sum",
        urgent=True,
        # One audit of a busy bank may meet money on its way; three in a row may not.
        advice="the sum over all accounts was not zero in three audits in a row: money came from nowhere or"
        " went there. Stop deployments, run the operators' audit and look at the treasury's entries.",
        readings={"m": watched.emitted("audit_ledger", "ledger_sum_cents", "Average")},
        expression="ABS(m)",
        threshold=0,
        seconds=window,
        periods=3,
    )
    yield Alarm(
        "freeze-failures",
        urgent=True,
        advice="an account drifts and could not be frozen, so money still moves on it. The next audit tries"
        " again; until it succeeds see DynamoDB's errors in the logs of audit_ledger.",
        readings={"m": watched.emitted("audit_ledger", "freeze_failures", "Sum")},
        threshold=0,
        seconds=60,
        periods=1,
    )


def _events(watched: Watched) -> Iterator[Alarm]:
    yield Alarm(
        "outbox-age",
        urgent=True,
        advice="the oldest event has waited more than a minute for Kafka, or the relay is silent (no data"
        " counts as an alarm). Transfers are held and do not settle; nothing is lost. See the logs of"
        " relay_outbox, then the brokers.",
        readings={"m": watched.emitted("relay_outbox", "outbox_age_seconds", "Maximum")},
        threshold=60,
        seconds=60,
        periods=3,
        missing="breaching",
    )
    yield Alarm(
        "relay-lag",
        urgent=True,
        advice="events waited more than a minute before Kafka took them, or the relay is silent (no data"
        " counts as an alarm). Transfers settle late; nothing is lost. Compare relay_outbox's CPU with the"
        " brokers' request times; with many transfers at once, give the outbox more shards.",
        readings={"m": watched.emitted("relay_outbox", "relay_lag_seconds", "Maximum")},
        threshold=60,
        seconds=60,
        periods=3,
        missing="breaching",
    )
    yield Alarm(
        "damaged-events",
        urgent=True,
        advice="an event in the outbox or in the history cannot be read, so nobody learns of a transfer. The"
        " relay's log names its place and what is wrong; find what wrote it. The transfer's own item is sound"
        " unless the operators' audit says otherwise: put the row right from it, or let the hold expire.",
        readings={
            "relay": watched.emitted("relay_outbox", "damaged_events", "Maximum"),
            "sweep": watched.emitted("sweep_transfers", "damaged_events", "Sum"),
        },
        expression="FILL(relay, 0) + FILL(sweep, 0)",
        threshold=0,
        seconds=300,
        periods=1,
    )
    yield Alarm(
        "broker-memory-lost",
        urgent=False,
        advice="the brokers forgot records that they had taken. The relay sends them again by itself; find"
        " out what happened to the MSK cluster, and audit once the outbox is empty.",
        readings={"m": watched.emitted("relay_outbox", "broker_memory_lost", "Sum")},
        threshold=0,
        seconds=60,
        periods=1,
    )
    for service in watched.catalog.services:
        if service.consumes is not None:
            yield from _consumer(watched, service)


def _waiting(watched: Watched) -> Iterator[Alarm]:
    """What stands longer than it should."""
    yield Alarm(
        "hold-age",
        urgent=True,
        advice="a hold is not decided after ten minutes, or the sweep is silent (no data counts as an alarm)"
        " and no hold ends. See the lag and the logs of settle_transfers and send_pix, then whether an"
        " account is frozen.",
        readings={"m": watched.emitted("sweep_transfers", "hold_age_seconds", "Maximum")},
        threshold=600,
        # The sweep reports every five minutes.
        seconds=600,
        periods=1,
        missing="breaching",
    )
    yield Alarm(
        "sent-age",
        urgent=False,
        advice="a payment left more than ten minutes ago and the SPI has not said what became of it. It stays"
        " SENT, its money on hold, until the SPI does: that is right, and nobody may end it by hand. The log"
        " of send_pix says what the SPI answers; if that is always a code for a copy (DUPL), ask Bacen.",
        readings={"m": watched.emitted("sweep_transfers", "sent_age_seconds", "Maximum")},
        threshold=600,
        seconds=600,
        periods=1,
    )
    for service in ("settle_transfers", "send_pix"):
        if watched.runs(service):
            yield Alarm(
                f"damaged-records-{names.workload(service)}",
                urgent=True,
                advice=f"{service} met a record of the ledger that cannot be read, and left its transfer as"
                " it is. The log names its place. Run the operators' audit and find what wrote there.",
                readings={"m": watched.emitted(service, "damaged_records", "Sum")},
                threshold=0,
                seconds=300,
                periods=1,
            )


_OF_THE_RAIL = (
    (
        "receive_pix",
        "arrivals_unmatched",
        True,
        (
            "the SPI settled a payment that nobody here said yes to: money has come to the bank and is no"
            " customer's. The log has its end-to-end id; look for it at Bacen, then for the transfer."
        ),
    ),
    (
        "receive_pix",
        "arrivals_contradicted",
        True,
        (
            "two different orders came under one end-to-end id, and the second was not answered. The log"
            " names the transfer; ask the other bank which of them is meant."
        ),
    ),
    (
        "receive_pix",
        "messages_unread",
        True,
        (
            "a message of the SPI was none that this bank can read, so that whoever sent it was not answered."
            " The log says why. After a change of the message catalogue roll receive_pix forward."
        ),
    ),
    (
        "receive_pix",
        "promises_stuck",
        True,
        (
            "a payment that was promised cannot be looked at, so nobody credits it. The log names the"
            " transfer and the error; run the operators' audit."
        ),
    ),
    (
        "receive_pix",
        "spi_messages_refused",
        False,
        (
            "the SPI could not read a message of ours. The log has its id; compare what this release writes"
            " with the message catalogue."
        ),
    ),
    (
        "send_pix",
        "orders_not_written",
        False,
        (
            "a payment could not be written as an order for the SPI and does not leave; its hold ends by"
            " itself. The log names the transfer."
        ),
    ),
)
"""Messages of the rail that nobody could match, read or write: by service, metric, urgency and advice."""


def _rail(watched: Watched) -> Iterator[Alarm]:
    for service, metric, urgent, advice in _OF_THE_RAIL:
        if watched.runs(service):
            yield Alarm(
                metric.replace("_", "-"),
                urgent=urgent,
                advice=advice,
                readings={"m": watched.emitted(service, metric, "Sum")},
                threshold=0,
                seconds=300,
                periods=1,
            )


def _consumer(watched: Watched, service: Service) -> Iterator[Alarm]:
    yield Alarm(
        f"dead-letters-{names.workload(service.name)}",
        urgent=False,
        advice=f"{service.name} could not read a record and put it aside. The dead-letter topic holds it with"
        " the reason: mend the cause, then send it again.",
        readings={"m": watched.emitted(service.name, "dead_letters", "Sum")},
        threshold=0,
        seconds=300,
        periods=1,
    )
    yield Alarm(
        f"newer-events-{names.workload(service.name)}",
        urgent=True,
        advice=f"{service.name} is older than the events that it gets and has paused the partition. Roll it"
        " forward: consumers go out before producers.",
        readings={"m": watched.emitted(service.name, "newer_event_version", "Sum")},
        threshold=0,
        seconds=60,
        periods=1,
    )


def _api(watched: Watched) -> Iterator[Alarm]:
    target = {"LoadBalancer": watched.load_balancer, "TargetGroup": watched.target_group}
    yield Alarm(
        "api-errors",
        urgent=True,
        advice="more than 1 % of the API's answers were 5xx for five minutes. The gateway's logs name the"
        " service; if it began with a deployment, roll that back.",
        # Fewer than twenty requests a minute say nothing about a share.
        expression="IF(requests >= 20, 100 * FILL(errors, 0) / requests, 0)",
        readings={
            "errors": balancing("HTTPCode_Target_5XX_Count", "Sum", target),
            "requests": balancing("RequestCount", "Sum", target),
        },
        threshold=1,
        seconds=60,
        periods=5,
    )
    yield Alarm(
        "api-latency",
        urgent=False,
        advice="one request in a hundred took more than a second for ten minutes. Compare the gateway with"
        " DynamoDB on the dashboard; a hot account shows as conflicts in the logs of transaction.",
        readings={"m": balancing("TargetResponseTime", "p99", target)},
        threshold=1,
        seconds=60,
        periods=10,
    )
    yield Alarm(
        "unhealthy-gateways",
        urgent=False,
        advice="a gateway has failed its health check for five minutes. Describe its pod: events, then logs.",
        readings={"m": balancing("UnHealthyHostCount", "Maximum", target)},
        threshold=0,
        seconds=60,
        periods=5,
    )
    yield Alarm(
        "no-gateway",
        urgent=True,
        advice="no gateway is healthy: the bank is closed. See the gateway's pods, then the nodes.",
        readings={"m": balancing("HealthyHostCount", "Minimum", target)},
        comparison="LessThanThreshold",
        threshold=1,
        seconds=60,
        periods=3,
        missing="breaching",
    )


def balancing(metric: str, stat: str, dimensions: Mapping[str, pulumi.Input[str]]) -> Reading:
    """A metric of the load balancer."""
    return Reading("AWS/ApplicationELB", metric, stat, dimensions)
