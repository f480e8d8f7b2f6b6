"""A certificate for several names of one zone, validated before anybody gets its ARN."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_aws as aws

Option = aws.acm.outputs.CertificateDomainValidationOption
"""What AWS wants to see in the zone to believe that one name is ours."""


@dataclass(frozen=True)
class CertificateArgs:
    """`names` are all in the zone `zone_id`; their records for validation must be different ones, as those of
    a domain and of a wildcard directly under it (`example.com`, `*.example.com`) are not."""

    names: Sequence[str]
    zone_id: str


class Certificate(pulumi.ComponentResource):
    """Makes a certificate, its validation records and waits until it is issued. Costs nothing.

    The zone must be the one that the internet asks: otherwise the validation waits until it times out.
    Refuses names that would share a record.
    """

    arn: pulumi.Output[str]
    """Known once the certificate is valid."""

    def __init__(self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        plain = [each.removeprefix("*.") for each in args.names]
        if len(set(plain)) < len(plain):
            raise ValueError(f"two of these names are validated by one record: {', '.join(args.names)}")
        super().__init__("gobanking:platform:Certificate", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        certificate = aws.acm.Certificate(
            f"{name}-certificate",
            domain_name=args.names[0],
            subject_alternative_names=list(args.names[1:]),
            validation_method="DNS",
            opts=child,
        )
        records = []
        for domain in args.names:
            # By name, not by place: the options are a set, and what comes first may change.
            option = certificate.domain_validation_options.apply(partial(option_of, domain=domain))
            records.append(
                aws.route53.Record(
                    f"{name}-{domain.replace('*', 'any')}",
                    zone_id=args.zone_id,
                    name=option.apply(lambda found: found.resource_record_name or ""),
                    type=option.apply(lambda found: found.resource_record_type or ""),
                    records=[option.apply(lambda found: found.resource_record_value or "")],
                    ttl=300,
                    # ACM asks the same of every certificate of this account for this name.
                    allow_overwrite=True,
                    opts=child,
                )
            )
        validation = aws.acm.CertificateValidation(
            f"{name}-validation",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn for record in records],
            opts=child,
        )
        self.arn = validation.certificate_arn
        self.register_outputs({"arn": self.arn})


def option_of(options: Sequence[Option], domain: str) -> Option:
    """The option of one name. `LookupError` when AWS gave none for it."""
    for option in options:
        if option.domain_name == domain:
            return option
    there = ", ".join(sorted(str(option.domain_name) for option in options))
    raise LookupError(f"the certificate has no validation option for {domain}, only for: {there}")
