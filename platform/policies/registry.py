"""All rules, by name. A pack for Pulumi (`__main__.py`) and the tests take them from here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from policies import encryption, exposure, identity, naming, pods, previews, protection, retention, tagging
from policies.graph import Facts, Resource, Violation

Check = Callable[[Sequence[Resource], Facts], Iterator[Violation]]


@dataclass(frozen=True)
class Rule:
    """A rule: `mandatory` stops a deployment, `advisory` only says so."""

    name: str
    level: Literal["mandatory", "advisory"]
    function: Check

    def check(self, resources: Sequence[Resource], facts: Facts) -> list[Violation]:
        """Who breaks it."""
        return list(self.function(resources, facts))

    @property
    def description(self) -> str:
        """The first paragraph of what the function says of itself."""
        text = (self.function.__doc__ or "").partition("\n\n")[0]
        return " ".join(text.split())


RULES: tuple[Rule, ...] = (
    Rule("public-ingress-only-at-the-load-balancer", "mandatory", exposure.ingress),
    Rule("no-public-addresses", "mandatory", exposure.public_addresses),
    Rule("no-doors-made-by-kubernetes", "mandatory", exposure.kubernetes_doors),
    Rule("private-buckets", "mandatory", exposure.private_buckets),
    Rule("tls", "mandatory", exposure.tls),
    Rule("closed-cluster-endpoint-in-prod", "mandatory", exposure.cluster_endpoint),
    Rule("no-wildcard-actions", "mandatory", identity.wildcard_actions),
    Rule("no-wildcard-resources", "mandatory", identity.wildcard_resources),
    Rule("narrow-trust", "mandatory", identity.trust),
    Rule("no-wide-managed-policies", "mandatory", identity.managed_policies),
    Rule("no-lasting-credentials", "mandatory", identity.lasting_credentials),
    Rule("nobody-is-everybody", "mandatory", identity.everybody),
    Rule("our-keys-at-rest", "mandatory", encryption.at_rest),
    Rule("encrypted-disks", "mandatory", encryption.disks),
    Rule("encrypted-buckets", "mandatory", encryption.buckets),
    Rule("keys-rotate", "mandatory", encryption.rotation),
    Rule("logs-end", "mandatory", retention.logs_end),
    Rule("backups-in-prod", "mandatory", retention.backups),
    Rule("releases-stay", "mandatory", retention.releases_stay),
    Rule("protected-in-prod", "mandatory", protection.protected),
    Rule("guarded-in-prod", "mandatory", protection.guarded),
    Rule("previews-go-away", "mandatory", protection.disposable),
    Rule("tags-on-everything", "mandatory", tagging.tags),
    Rule("labels-on-workloads", "advisory", tagging.labels),
    Rule("restricted-pods", "mandatory", pods.restricted),
    Rule("no-service-account-tokens", "mandatory", pods.no_token),
    Rule("bounded-containers", "advisory", pods.bounded),
    Rule("images-by-digest", "mandatory", pods.images_by_digest),
    Rule("closed-namespaces", "mandatory", pods.namespaces),
    Rule("no-simulators-in-prod", "mandatory", pods.simulators),
    Rule("names-fit", "mandatory", naming.names_fit),
    Rule("nothing-expensive-in-a-preview", "mandatory", previews.nothing_expensive),
)


def broken(resources: Sequence[Resource], facts: Facts) -> list[tuple[Rule, Violation]]:
    """Every violation, with the rule that it breaks."""
    return [(rule, each) for rule in RULES for each in rule.check(resources, facts)]
