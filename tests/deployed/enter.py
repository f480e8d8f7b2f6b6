"""Becomes a container: in its own root, as its own user, with its own variables and nothing else.

Run as a program of its own with its orders as JSON on the command line; only the standard library, since
it ends by becoming the program. It does what a container runtime does: a mount namespace, the root
read-only, no new privileges, no capability. The network is this machine's.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
LOCKED = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
DEVICES = ("null", "zero", "random", "urandom")
_libc = ctypes.CDLL(None, use_errno=True)


def enter(orders: dict[str, Any]) -> None:
    """Does as ordered, and becomes the program."""
    user, group = orders["user"], orders["group"]
    # As anybody but root: in a user namespace of its own, where this user has the container's number.
    mapped = os.geteuid() != 0
    outside = os.getuid(), os.getgid()
    _check(_libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if mapped else 0)), "unshare")
    if mapped:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {outside[0]} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {outside[1]} 1")
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    root = Path(orders["root"])
    _furnish(root, orders)
    os.chroot(root)
    os.chdir(orders["folder"])
    if not mapped:
        os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    # After the change of user, which forgets it.
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    os.umask(0o022)
    os.execvpe(orders["command"][0], orders["command"], orders["variables"])


def _furnish(root: Path, orders: dict[str, Any]) -> None:
    _bind(str(root), root)
    for source, target in orders["binds"].items():
        _bind(source, _inside(root, target))
        _read_only(_inside(root, target))
    # What a runtime gives every container: devices, processes, and here the token of Pod Identity.
    (root / "proc").mkdir(exist_ok=True)
    _mount("/proc", str(root / "proc"), "", MS_BIND | MS_REC)
    _fill(root / "dev", dict.fromkeys(DEVICES, ""), "1m")
    for device in DEVICES:
        _mount(f"/dev/{device}", str(root / "dev" / device), "", MS_BIND)
    for folder, files in orders["files"].items():
        _fill(_inside(root, folder), files, "1m")
    for folder, size in orders["scratch"].items():
        _fill(_inside(root, folder), {}, size, mode="0777")
    if orders["read_only"]:
        _read_only(root)


def _inside(root: Path, path: str) -> Path:
    """Where a path of the container is seen from here: its links lead to places in the container."""
    found = root
    for part in Path(path).parts[1:]:
        found /= part
        if found.is_symlink():
            found = _inside(root, str(Path("/", found.parent.relative_to(root), found.readlink())))
    return found


def _fill(folder: Path, files: dict[str, str], size: str, mode: str = "0755") -> None:
    """A file system in memory, with some files."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("tmpfs", str(folder), "tmpfs", 0, f"size={size},mode={mode}")
    for name, content in files.items():
        (folder / name).write_text(content)


def _bind(source: str, target: Path) -> None:
    _mount(source, str(target), "", MS_BIND | MS_REC)


def _read_only(target: Path) -> None:
    # In a user namespace the flags that a mount had may be kept, never dropped.
    kept = os.statvfs(target).f_flag & LOCKED
    _mount("none", str(target), "", MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    done = _libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode() or None)
    _check(done, f"mount {source} at {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


if __name__ == "__main__":
    enter(json.loads(sys.argv[1]))
