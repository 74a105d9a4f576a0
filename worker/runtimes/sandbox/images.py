"""What a sandbox's root can be: `host`, a directory, or a tar that is unpacked once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from worker.runtimes.base import FailureReason, RuntimeFailure

HOST = "host"
UNPACK_SECONDS = 600.0
MOUNT_POINTS = ("proc", "dev", "tmp", "etc")
# An image shares the node's network, so names must resolve as they do on the node.
RESOLVER_FILE = "/etc/resolv.conf"
SHARED = (RESOLVER_FILE, "/etc/hosts")
# On the node's own root these hold other people's things: sockets, keys, homes.
HIDDEN = (
    "/run",
    "/var/run",
    "/root",
    "/home",
    "/var/tmp",  # noqa: S108
    "/var/lib/docker",
    "/mnt",
    "/media",
    "/tmp",  # noqa: S108
)


def root_of(image: str, store: Path, hidden: Path) -> Path:
    """Return the directory to use as root, unpacking a tar the first time.

    Raises:
        RuntimeFailure: there is no such directory or tar, or it cannot be used.
    """
    if image == HOST:
        return Path("/")
    given = Path(image)
    if not given.is_absolute() or not _exists(given):
        raise RuntimeFailure(
            FailureReason.IMAGE_NOT_FOUND,
            f"image {image} is not on this node: the sandbox takes `host`, the absolute path of a "
            "directory with a root file system, or of a tar of one",
            permanent=True,
        )
    path = given.resolve()
    if not path.is_dir():
        return _unpacked(path, store)
    if path == Path("/"):
        return path
    _require_root(path, hidden.resolve())
    return path


def masks(hidden: Path, *, as_nobody: bool) -> tuple[str, ...]:
    """Return the folders of the node's root to cover, each after those it lies in."""
    state = hidden.resolve()
    own = [os.environ.get("HOME", "/root"), str(_reachable(state) if as_nobody else state)]
    found: list[str] = []
    for path in (*HIDDEN, *own):
        folder = Path(path)
        covered = any(folder.is_relative_to(done) for done in found)
        if not covered and path != "/" and folder.is_dir() and not folder.is_symlink():
            found.append(path)
    return tuple(found)


def shared_files(root: Path) -> tuple[str, ...]:
    """Return the files of the node that can be put over those of an image."""
    return tuple(
        path
        for path in SHARED
        if Path(path).is_file()
        and (root / path.lstrip("/")).is_file()
        and not (root / path.lstrip("/")).is_symlink()
    )


def _require_root(path: Path, hidden: Path) -> None:
    """Refuse a directory that is no root file system of its own, or would show our state."""
    if path.parts[1] in {"proc", "sys", "dev"} or _overlap(path, hidden):
        raise RuntimeFailure(
            FailureReason.INVALID,
            f"image {path} cannot be a root: it belongs to the system or to Kijabi",
            permanent=True,
        )
    missing = [name for name in MOUNT_POINTS[:3] if not (path / name).is_dir()]
    if missing:
        raise RuntimeFailure(
            FailureReason.INVALID,
            f"image {path} is no root file system: it has no folder {missing[0]}",
            permanent=True,
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _overlap(path: Path, hidden: Path) -> bool:
    return path.is_relative_to(hidden) or hidden.is_relative_to(path)


def _reachable(path: Path) -> Path:
    """Return the path, or the first folder above it that an unprivileged user cannot enter."""
    for folder in reversed(path.parents):
        if folder != Path("/") and not folder.stat().st_mode & 0o001:
            return folder
    return path


def _unpacked(path: Path, store: Path) -> Path:
    status = path.stat()
    key = f"{path}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    target = store / hashlib.sha256(key.encode()).hexdigest()[:16]
    if target.is_dir():
        return target
    with _only_one(target):
        if not target.is_dir():
            draft = target.with_suffix(".draft")
            # There may be the remains of an agent that was killed while it unpacked.
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o755, parents=True)
            try:
                _untar(path, draft)
                draft.rename(target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return target


@contextlib.contextmanager
def _only_one(target: Path) -> Iterator[None]:
    """Keep other threads and processes from unpacking the same image."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _untar(path: Path, draft: Path) -> None:
    # GNU tar refuses names that lead outside and recognises every compression; Python's own
    # filters for that are missing in 3.11.2, which Debian 12 ships.
    words = ["tar", "--extract", "--no-same-owner", "--exclude=dev/*", "--exclude=./dev/*"]
    try:
        result = subprocess.run(  # noqa: S603, our own arguments
            [*words, f"--directory={draft}", f"--file={path}"],
            env={"PATH": os.defpath, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            timeout=UNPACK_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        message = f"image {path} could not be unpacked within {UNPACK_SECONDS:g} s"
        raise RuntimeFailure(FailureReason.UNKNOWN, message) from error
    if result.returncode != 0:
        full = "No space left" in result.stderr
        reason = FailureReason.DISK_FULL if full else FailureReason.INVALID
        message = f"image {path} cannot be unpacked: {_last_line(result.stderr)}"
        raise RuntimeFailure(reason, message, permanent=True)
    _complete(path, draft)


def _complete(path: Path, draft: Path) -> None:
    """Make what every sandbox mounts over, and refuse what is no root file system."""
    if (draft / "manifest.json").exists() and not (draft / "etc").exists():
        raise RuntimeFailure(
            FailureReason.INVALID,
            f"image {path} holds layers (docker save); give the file system of docker export",
            permanent=True,
        )
    for name in MOUNT_POINTS:
        if not (draft / name).is_symlink():
            (draft / name).mkdir(exist_ok=True)
    for name in SHARED:
        file = draft / name.lstrip("/")
        if file.parent.resolve().is_relative_to(draft.resolve()) and not file.is_symlink():
            file.touch()


def _last_line(text: str) -> str:
    # The very last line only says that there were errors.
    lines = [line for line in text.strip().splitlines() if "Exiting with failure" not in line]
    return lines[-1] if lines else "tar says nothing more"
