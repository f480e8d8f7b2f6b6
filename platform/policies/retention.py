"""How long things are kept: logs come to an end, money's history and releases do not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policies.graph import UNKNOWN, Facts, Resource, Violation, document, of, violation

LOGS = "aws:cloudwatch/logGroup:LogGroup"
TABLE = "aws:dynamodb/table:Table"
LIFECYCLE = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
RELEASES = "main-"
"""What tags of images begin with that were deployed from the main branch."""


def logs_end(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """Every log group has a retention: without one CloudWatch keeps, and bills, for ever."""
    for group in of(resources, LOGS):
        if group.at("retentionInDays") in (None, 0):
            yield violation(group, "keeps its logs for ever")


def backups(resources: Sequence[Resource], facts: Facts) -> Iterator[Violation]:
    """In prod every table can be brought back as it was at any second."""
    for table in of(resources, TABLE):
        if facts.kind == "prod" and table.at("pointInTimeRecovery", "enabled") not in (True, UNKNOWN):
            yield violation(table, "has no point-in-time recovery")


def releases_stay(resources: Sequence[Resource], _facts: Facts) -> Iterator[Violation]:
    """No rule that expires images takes one that a release runs: their tags begin with `main-`."""
    for policy in of(resources, LIFECYCLE):
        text = policy.at("policy")
        rules = [] if text is None or text is UNKNOWN else document(text).get("rules", [])
        for rule in rules:
            if _takes_releases(rule):
                yield violation(policy, "expires images of releases")


def _takes_releases(rule: Mapping[str, Any]) -> bool:
    selection = rule.get("selection", {})
    if selection.get("tagStatus") == "untagged":
        return False
    prefixes = selection.get("tagPrefixList", [])
    patterns = selection.get("tagPatternList", [])
    if selection.get("tagStatus") == "any" or not (prefixes or patterns):
        return True
    begins = [*prefixes, *(pattern.partition("*")[0] for pattern in patterns)]
    return any(RELEASES.startswith(each) or each.startswith(RELEASES) for each in begins)
