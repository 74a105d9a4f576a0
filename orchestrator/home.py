"""The state folder: where it is, and files in it that are made once and then only read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def is_on(name: str) -> bool:
    """Tell whether a variable of the environment switches something on."""
    return os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}


def state_folder() -> Path:
    """Return the folder that holds everything this installation knows."""
    return Path(os.environ.get("KIJABI_HOME", ROOT / ".kijabi")).resolve()


def read_or_create_secret(path: Path, length: int) -> str:
    """Return the secret kept in a file, making the file (mode 0600) the first time.

    Two processes that start at once agree: the file is linked into place complete, and the
    loser reads what the winner wrote.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(length))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
