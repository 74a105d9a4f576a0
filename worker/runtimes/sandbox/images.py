"""What a sandbox's root can be: `host`, a directory, or a tar that is unpacked once."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import threading
from pathlib import Path

from worker.runtimes.base import FailureReason, RuntimeFailure

HOST = "host"
_unpacking = threading.Lock()


def root_of(image: str, store: Path) -> Path:
    """Return the directory to use as root, unpacking a tar the first time.

    Raises:
        RuntimeFailure: there is no such directory or tar, or it cannot be unpacked.
    """
    if image == HOST:
        return Path("/")
    path = Path(image)
    if not path.is_absolute() or not path.exists():
        raise RuntimeFailure(
            FailureReason.IMAGE_NOT_FOUND,
            f"image {image} is not on this node: the sandbox takes `host`, the absolute path of a "
            "directory with a root file system, or of a tar of one",
            permanent=True,
        )
    return path if path.is_dir() else _unpacked(path, store)


def _unpacked(path: Path, store: Path) -> Path:
    status = path.stat()
    key = f"{path}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    target = store / hashlib.sha256(key.encode()).hexdigest()[:16]
    with _unpacking:
        if target.exists():
            return target
        draft = target.with_suffix(f".{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            with tarfile.open(path) as tar:
                # The filter refuses members that would land outside, devices, and set-id bits.
                tar.extractall(draft, filter="tar")
            draft.rename(target)
        except (tarfile.TarError, OSError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            full = isinstance(error, OSError) and error.errno == 28
            reason = FailureReason.DISK_FULL if full else FailureReason.INVALID
            message = f"image {path} cannot be unpacked: {error}"
            raise RuntimeFailure(reason, message, permanent=True) from error
    return target


def find_command(root: Path, command: str, search: str) -> bool:
    """Tell whether a command exists in a root file system."""
    names = [command] if "/" in command else [f"{f}/{command}" for f in search.split(":")]
    return any(_exists_within(root, name) for name in names)


def _exists_within(root: Path, name: str) -> bool:
    """Follow links as if `root` were the root: an absolute link leads back into it."""
    path = root
    parts = [part for part in name.split("/") if part not in {"", "."}]
    for _ in range(40):
        if not parts:
            return path.exists()
        path = path / parts.pop(0)
        if path.is_symlink():
            link = str(path.readlink())
            path = root if link.startswith("/") else path.parent
            parts = [part for part in link.split("/") if part not in {"", "."}] + parts
    return False
