"""What a preview is called: always the same, never another branch's, short enough for everything."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import names as physical_names
from apps.catalog import CATALOG
from configuration_forms import prefix
from configuration_rules import PROTECTED_NAMES, RESERVED_PREFIX
from environments.preview.names import (
    PROTECTED,
    Refused,
    digest,
    given_name,
    is_preview,
    slug,
    stack_name,
)

BRANCHES = st.text(min_size=1).filter(
    lambda text: bool(text.strip()) and not text.startswith("-") and text.lower() not in PROTECTED
)


@given(branch=BRANCHES)
def test_a_name_is_always_the_same_and_within_every_limit(branch: str) -> None:
    name = stack_name(branch)
    assert stack_name(branch) == name
    assert is_preview(name)
    assert given_name(f"organization/gobanking/{name}") == name
    assert prefix(name) == name, "the program takes it as its prefix"
    assert len(name) <= physical_names.PREFIX_LIMIT
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name), "what Pulumi takes as a stack's name"
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name), "a DNS label, so a namespace and a host"
    assert not RESERVED_PREFIX.fullmatch(name)
    assert name not in PROTECTED_NAMES


@given(branch=BRANCHES)
def test_all_that_is_called_by_it_is_within_aws_and_kubernetes_limits(branch: str) -> None:
    name = stack_name(branch)
    for table in CATALOG.tables:
        assert 3 <= len(physical_names.physical(name, table.name)) <= 255
    for topic in CATALOG.topics:
        assert len(physical_names.topic(name, topic.name)) <= 249
    for service in CATALOG.services:
        assert len(physical_names.workload(service.name)) <= 63
        if service.consumes is not None:
            assert len(physical_names.physical(name, service.consumes.group)) <= 255
    for secret in CATALOG.secrets:
        assert len(physical_names.physical(name, secret)) <= 512
    assert len(physical_names.physical(name, "app")) <= 128, "an app client's name"


@given(first=BRANCHES, second=BRANCHES)
def test_two_branches_have_two_names_unless_six_digits_and_the_words_are_equal(
    first: str, second: str
) -> None:
    same = (slug(first), digest(first)[:6]) == (slug(second), digest(second)[:6])
    assert (stack_name(first) == stack_name(second)) == same


@pytest.mark.parametrize(
    ("branch", "name"),
    [
        pytest.param("feature/pix", "pr-feature-pix-7d2e6c", id="plain"),
        pytest.param("FEATURE/PIX", "pr-feature-pix-d1b02e", id="upper case is another branch"),
        pytest.param("ação", "pr-acao-17ba5e", id="accents"),
        pytest.param("🎉", "pr-df8fee", id="emoji"),
        pytest.param("//--//", "pr-2a1b7f", id="nothing to read"),
        pytest.param("a" * 300, "pr-aaaaaaaaaaaaaaa-", id="long"),
        pytest.param("release-1.2.3-candidate", "pr-release-1-2-3-c", id="cut inside a word"),
        pytest.param("fourteen-chars-and", "pr-fourteen-chars-", id="no dash twice where it is cut"),
    ],
)
def test_known_names(branch: str, name: str) -> None:
    """A change of the function would leave every preview that stands without its branch."""
    assert stack_name(branch).startswith(name[: name.rindex("-") + 1])
    assert "--" not in stack_name(branch)
    assert stack_name(branch).endswith(f"-{digest(branch)[:6]}")


def test_the_digest_is_the_sha1_of_the_whole_name() -> None:
    assert digest("main") == "b28b7af69320201d1cf206ebf28373980add1451"
    assert stack_name("main") == "pr-main-b28b7a"


@pytest.mark.parametrize("branch", ["dev", "staging", "prod", "PROD", "", "  ", "-f"])
def test_some_branches_have_no_preview(branch: str) -> None:
    with pytest.raises(Refused, match="--branch"):
        stack_name(branch)


@pytest.mark.parametrize(
    "stack",
    ["dev", "prod", "organization/gobanking/prod", "pr-", "pr-x", "pr-A-0a1b2c", "pr-x-0a1b2c/dev", ""],
)
def test_what_is_no_preview_is_never_touched(stack: str) -> None:
    with pytest.raises(Refused, match="nothing else is touched"):
        given_name(stack)


def test_nothing_that_is_protected_could_be_a_preview() -> None:
    assert PROTECTED == PROTECTED_NAMES
    assert [name for name in PROTECTED if is_preview(name)] == []
