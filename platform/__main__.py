"""What Pulumi runs: the bank, as the stack's settings want it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Behind everything, so that `apps` is found and nothing else is hidden (design section 1.1).
sys.path.append(str(ROOT))

from apps.catalog import CATALOG  # noqa: E402
from program import run  # noqa: E402

run(ROOT, CATALOG)
