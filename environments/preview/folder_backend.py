"""What a killed run leaves of a backend in a folder: an empty file of attributes beside a whole state.

Pulumi writes a state beside its old one and then renames it, but its attributes in place; killed between, it
answers every command with "EOF" from then on. The attributes are of no use here (media type, checksum) and
may be missing, so a file that says nothing is taken away. Buckets have no such files.
"""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit


def mended(backend: str) -> int:
    """Takes the broken files of attributes away; gives how many there were."""
    url = urlsplit(backend)
    if url.scheme != "file":
        return 0
    files = (Path(unquote(url.path)).expanduser() / ".pulumi").rglob("*.attrs")
    broken = [path for path in files if not _whole(path)]
    for path in broken:
        path.unlink(missing_ok=True)
    return len(broken)


def _whole(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True
