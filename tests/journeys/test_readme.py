"""What the README tells a newcomer to type works, typed as it stands there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.environment import ROOT, Environment


def commands(heading: str, document: str = "README.md") -> str:
    """The first console block under a heading of the README, as a script: what follows `$ ` and `> `."""
    section = (ROOT / document).read_text().split(f"## {heading}\n", 1)[1]
    found = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    assert found is not None, f"the README shows nothing to type under '{heading}'"
    return re.sub(r"^[$>] ", "", found[1], flags=re.MULTILINE)


def test_the_readme_in_portuguese_has_the_same_examples() -> None:
    texts = commands("Use it"), commands("Use", "README.pt-BR.md")
    english, portuguese = (re.sub(r" +# .*", "", text) for text in texts)
    assert portuguese == english


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's examples use curl: install it")
def test_the_examples_do_what_they_say(tmp_path: Path) -> None:
    bank = Environment(tmp_path)
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands("Use it")],
            cwd=ROOT,
            env=bank.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        bank.gobank("down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r'"status": ?"HELD"', done.stdout)
    assert '"available_cents":101250' in done.stdout
    assert "every balance is the sum of its entries" in done.stdout
