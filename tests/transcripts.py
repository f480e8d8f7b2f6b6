"""What a document shows of a command's answers is what it answered to a test.

A block stands under a comment `<!-- transcript: NAME -->`. Moments, spans, ports and digests differ from run
to run, so they are compared as what they are. `GOBANK_UPDATE_TRANSCRIPTS=1` writes the blocks anew.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "README.pt-BR.md")
DIFFERS = (
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", "MOMENT"),
    (r"-?\b\d+(\.\d+)? s\b", "SECONDS"),
    (r"\b(\d+d )?(\d+h )?\d+m\b", "SPAN"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b\d+ accounts\b", "SOME accounts"),
    (r" +", " "),
)
STEP = re.compile(r"  [a-z-]+ [\w.-]+:\S+:\S+ \S+")
"""What the engine does to one resource. Which one comes first is the engine's choice."""


def abridged(said: str) -> str:
    """With dots for the engine's steps."""
    lines: list[str] = []
    for line in said.splitlines():
        shown = "  ..." if STEP.fullmatch(line) else line.rstrip()
        if shown != "  ..." or lines[-1:] != ["  ..."]:
            lines.append(shown)
    return "\n".join(lines)


def check(name: str, typed: Sequence[tuple[str, str]]) -> None:
    """Holds every document's block of that name against commands and what they answered."""
    text = "\n".join(f"$ {command}\n{abridged(said)}".rstrip() for command, said in typed)
    for document in DOCUMENTS:
        pattern = re.compile(rf"(<!-- transcript: {name} -->\n```console\n)(.*?)(\n```)", re.DOTALL)
        content = document.read_text()
        found = pattern.search(content)
        assert found is not None, f"{document.name} has no transcript of {name}"
        if os.environ.get("GOBANK_UPDATE_TRANSCRIPTS"):
            document.write_text(content[: found.start(2)] + text + content[found.end(2) :])
        else:
            assert _plain(found[2]) == _plain(text), f"{document.name}: GOBANK_UPDATE_TRANSCRIPTS=1 writes it"


def _plain(text: str) -> str:
    for pattern, word in DIFFERS:
        text = re.sub(pattern, word, text)
    return text
