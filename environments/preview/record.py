"""What is known of a preview without asking AWS: kept in the tags of its stack, on every backend.

Tags are cheap to read and survive a killed `up`; they are written before anything is made.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from environments.preview import lifetime
from environments.preview.names import digest

State = Literal["creating", "up", "removing"]
STATES: tuple[State, ...] = ("creating", "up", "removing")
VALUE_LIMIT = 256
"""What backends take of a tag's value."""
NAMESPACE = "gobanking:"


@dataclass(frozen=True)
class Record:
    """One preview. `branch` may be cut; `digest` is of the whole name. `published` says that the branch was
    at the remote when the preview was last brought up. `usd_a_day` is None until it is known."""

    name: str
    branch: str
    digest: str
    pr: str
    owner: str
    base: str
    ttl: str
    created: datetime
    expires: datetime
    priority: int
    url: str
    published: bool
    state: State
    since: datetime
    usd_a_day: float | None = None

    def tags(self) -> dict[str, str]:
        """As tags of the stack. Few, since each is a call of Pulumi's command line."""
        facts = {
            "digest": self.digest,
            "base": self.base,
            "created": lifetime.written(self.created),
            "priority": self.priority,
            "published": self.published,
        }
        state = {
            "is": self.state,
            "since": lifetime.written(self.since),
            "url": self.url,
            "usd_a_day": self.usd_a_day,
        }
        tags = {
            "branch": self.branch[:VALUE_LIMIT],
            "pr": self.pr[:VALUE_LIMIT],
            "owner": self.owner[:VALUE_LIMIT],
            "ttl": f"{self.ttl} until {lifetime.written(self.expires)}",
            "facts": json.dumps(facts, separators=(",", ":")),
            "state": json.dumps(state, separators=(",", ":")),
        }
        return {NAMESPACE + name: value for name, value in tags.items() if value}

    def entering(self, state: State, now: datetime) -> "Record":
        """The same, in another state."""
        return replace(self, state=state, since=now)


def recorded(name: str, tags: Mapping[str, str]) -> Record | None:
    """What a stack's tags say; None when they are not a preview's, or not all there."""
    own = {key.removeprefix(NAMESPACE): value for key, value in tags.items()}
    try:
        facts, state = json.loads(own["facts"]), json.loads(own["state"])
        ttl, _, expires = own["ttl"].partition(" until ")
        return Record(
            name=name,
            branch=own["branch"],
            digest=str(facts["digest"]),
            pr=own.get("pr", ""),
            owner=own.get("owner", ""),
            base=str(facts["base"]),
            ttl=ttl,
            created=lifetime.read(facts["created"]),
            expires=lifetime.read(expires),
            priority=int(facts["priority"]),
            url=str(state["url"]),
            published=bool(facts["published"]),
            state=next(each for each in STATES if each == state["is"]),
            since=lifetime.read(state["since"]),
            usd_a_day=state["usd_a_day"],
        )
    except (KeyError, ValueError, TypeError, StopIteration):
        return None


def is_of(record: Record, branch: str) -> bool:
    """Whether it is this branch's, not one whose name only has the same beginning and digest."""
    return record.digest == digest(branch)
