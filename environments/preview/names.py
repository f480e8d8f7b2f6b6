"""What a branch's preview is called: the stack, and with it the prefix of every physical name.

`pr-<slug>-<digest>`: the slug is for people, the digest of the whole branch name keeps two branches apart.
The name has at most 25 characters, which `platform/names.py` needs to stay within every limit of AWS and
Kubernetes; a host, a namespace, a table and a topic can all begin with it.
"""

import hashlib
import re
import unicodedata

SLUG_LIMIT = 15
"""Design section 8 allows 18; the prefix of an environment, which is the stack's name, has room for 15."""
DIGEST_LENGTH = 6
PROTECTED = frozenset({"dev", "staging", "prod"})
PATTERN = re.compile(r"pr-([a-z0-9]+-){0,8}[0-9a-f]{6}", re.ASCII)


class Refused(Exception):  # noqa: N818
    """It cannot be as it was asked for. Nothing was done; the message says what to do instead."""


def stack_name(branch: str) -> str:
    """The name of a branch's stack, always the same. Raises `Refused` for a branch that may have none."""
    if not branch.strip():
        raise Refused("--branch: the branch has no name. Check a branch out, or give one.")
    if branch.startswith("-"):
        raise Refused(f"--branch '{branch}': a branch's name does not begin with a dash.")
    if branch.lower() in PROTECTED:
        raise Refused(
            f"--branch '{branch}': that is the name of an environment, which no preview may touch. "
            "Previews are for branches of work; `pulumi up` is for environments."
        )
    return "-".join(filter(None, ("pr", slug(branch), digest(branch)[:DIGEST_LENGTH])))


def given_name(stack: str) -> str:
    """The name of a stack that somebody gave, if a preview can have it. Raises `Refused`."""
    name = stack.rpartition("/")[2]
    if not is_preview(name):
        raise Refused(
            f"--stack '{stack}': previews are called pr-SLUG-DIGEST, and nothing else is touched here. "
            "`gobank preview ls` lists them."
        )
    return name


def is_preview(stack: str) -> bool:
    """Whether a preview may have this name."""
    return PATTERN.fullmatch(stack) is not None


def slug(branch: str) -> str:
    """What of a branch's name is letters and digits of ASCII, in words; "" when nothing is."""
    plain = unicodedata.normalize("NFKD", branch).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return words[:SLUG_LIMIT].rstrip("-")


def digest(branch: str) -> str:
    """The SHA-1 of a branch's name, for telling branches apart; nothing secret rests on it."""
    return hashlib.sha1(branch.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
