"""A certificate is handed on when it is valid, whatever order AWS lists its names in."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from certificate import Certificate, CertificateArgs, Option, option_of
from environments.graph import answers as cloud
from environments.graph.evaluation import UNKNOWN, Graph, evaluate
from environments.graph.recorder import Asked
from tests.platform.types_check import complaints

NAMES = ("bank.example.com", "*.preview.bank.example.com")
RECORD = "aws:route53/record:Record"
CERTIFICATE = "aws:acm/certificate:Certificate"


def graph(*, preview: bool = False, backwards: bool = False) -> Graph:
    def computed(asked: Asked) -> Mapping[str, Any]:
        outputs = dict(cloud.computed(asked))
        if backwards and asked.type == CERTIFICATE:
            outputs["domainValidationOptions"] = outputs["domainValidationOptions"][::-1]
        return outputs

    def program() -> None:
        pulumi.export("arn", Certificate("tls", CertificateArgs(NAMES, "Z1")).arn)

    return evaluate(program, preview=preview, computed=computed)


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_each_name_is_proved_by_a_record_of_its_own(preview: bool) -> None:
    made = graph(preview=preview)
    assert [said for node in made for said in complaints(node)] == []
    certificate = made.one(CERTIFICATE).inputs
    assert certificate["domainName"] == NAMES[0]
    assert certificate["subjectAlternativeNames"] == [NAMES[1]]
    assert certificate["validationMethod"] == "DNS"
    records = {node.name: node.inputs for node in made.of_type(RECORD)}
    assert set(records) == {"tls-bank.example.com", "tls-any.preview.bank.example.com"}
    assert all(record["zoneId"] == "Z1" and record["allowOverwrite"] is True for record in records.values())
    names = {record["name"] for record in records.values()}
    assert names == (
        {UNKNOWN} if preview else {"_validate.bank.example.com.", "_validate.preview.bank.example.com."}
    )


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_the_arn_is_known_after_all_records_were_seen(preview: bool) -> None:
    made = graph(preview=preview)
    validation = made.one("aws:acm/certificateValidation:CertificateValidation")
    for record in made.of_type(RECORD):
        assert made.depends(validation, record)
    assert len(validation.inputs["validationRecordFqdns"]) == 2
    certificate = made.one(CERTIFICATE).outputs or {}
    assert made.outputs["arn"] == (UNKNOWN if preview else certificate["arn"])


def test_records_stay_where_they_are_when_aws_lists_the_names_in_another_order() -> None:
    one, other = (
        {node.urn: node.inputs for node in made.of_type(RECORD)} for made in (graph(), graph(backwards=True))
    )
    assert one == other


@pytest.mark.parametrize(
    "names",
    [("example.com", "*.example.com"), ("a.example.com", "a.example.com")],
    ids=["a domain and its wildcard", "twice"],
)
def test_names_that_share_a_record_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="validated by one record"):
        evaluate(lambda: Certificate("tls", CertificateArgs(names, "Z1")))


def option(domain: str) -> Option:
    return aws.acm.outputs.CertificateDomainValidationOption(
        domain_name=domain, resource_record_name=f"_{domain}"
    )


def test_an_option_is_found_by_its_name() -> None:
    found = option_of([option("a"), option("b")], "b")
    assert found.resource_record_name == "_b"


def test_a_name_without_an_option_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(LookupError, match="no validation option for c, only for: a, b"):
        option_of([option("b"), option("a")], "c")
