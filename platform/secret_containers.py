"""The catalog's secrets: where they are kept, never what they are."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

import names
from apps.catalog import Catalog


@dataclass(frozen=True)
class SecretsArgs:
    """`recovery_days` is how long a deleted secret can be had back, and its name cannot be used anew."""

    catalog: Catalog
    prefix: str
    key_arn: pulumi.Input[str]
    recovery_days: int
    protect: bool


class Secrets(pulumi.ComponentResource):
    """One empty container in Secrets Manager for each secret, 0.40 USD a month each.

    An operator puts the value in (`aws secretsmanager put-secret-value`); Pulumi never sees it, so neither
    does its state. Until then the services that read it are not ready, and nobody waits for them (`filled`).
    Who may read is in their roles. Where simulators stand in for the world outside, nobody reads any.

    Refuses (`ValueError`) a recovery that Secrets Manager does not know.
    """

    arns: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: SecretsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("gobanking:platform:Secrets", name, {}, opts)
        if args.recovery_days != 0 and not 7 <= args.recovery_days <= 30:
            raise ValueError(f"a secret is recoverable for 0 or 7 to 30 days, not {args.recovery_days}")
        self.arns = {
            secret: aws.secretsmanager.Secret(
                f"{name}-{secret}",
                name=names.physical(args.prefix, secret),
                kms_key_id=args.key_arn,
                recovery_window_in_days=args.recovery_days,
                opts=ResourceOptions(parent=self, protect=args.protect),
            ).arn
            for secret in sorted(args.catalog.secrets)
        }
        self.register_outputs({"arns": self.arns})

    def filled(self) -> dict[str, pulumi.Output[bool]]:
        """By secret, whether somebody has put a value in. It is asked when the program runs; which value is
        not."""

        def versions(arn: pulumi.Output[str]) -> pulumi.Output[bool]:
            found = aws.secretsmanager.get_secret_versions_output(
                secret_id=arn, opts=pulumi.InvokeOutputOptions(parent=self)
            )
            return found.versions.apply(bool)

        return {secret: versions(arn) for secret, arn in self.arns.items()}
