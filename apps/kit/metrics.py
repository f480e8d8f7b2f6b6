"""Metrics in CloudWatch's embedded format: one JSON line on standard output per value.

Source: "Specification: Embedded metric format" (Amazon CloudWatch user guide).
"""

import json
import os
import sys
import time

NAMESPACE = "GoBanking"


def emit(name: str, value: float, unit: str = "Count", **dimensions: str) -> None:
    """Emits one value, with environment, service and `dimensions` (of few values: each set is a metric).

    Environments share an account: without its name the heartbeat of one would hide the silence of another.
    """
    labels = {
        "environment": os.environ.get("ENVIRONMENT", "unknown"),
        "service": os.environ.get("SERVICE", "unknown"),
        **dimensions,
    }
    definition = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(labels)],
        "Metrics": [{"Name": name, "Unit": unit}],
    }
    line = {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [definition]},
        **labels,
        name: value,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
