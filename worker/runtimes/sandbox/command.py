"""The bubblewrap command line of one sandbox, built without touching anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.protocol import ReplicaSpec

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# On the node's own root these hold other people's things: sockets, keys, homes.
HIDDEN = (
    "/run",
    "/root",
    "/home",
    "/var/tmp",  # noqa: S108
    "/var/lib/docker",
    "/mnt",
    "/media",
)
NOBODY = 65534
# Joins the cgroups (by the files before `--`), then becomes the rest of its arguments.
JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things are: `root_descriptor` is the open root of an image that is not the host's."""

    bwrap: str
    status_descriptor: int
    root_descriptor: int | None
    hidden: Path
    groups: Sequence[Path]
    drop_user: bool


def argv(replica: ReplicaSpec, layout: Layout, environment: Mapping[str, str]) -> list[str]:
    """Return the whole command: join the cgroups, drop root, make the namespaces, run."""
    container = replica.container
    words = ["/bin/sh", "-c", JOIN, "sh", *(str(path) for path in layout.groups), "--"]
    if layout.drop_user:
        words += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    words += [layout.bwrap, "--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    words += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--hostname", f"{replica.deployment}-{replica.slot}"[:63]]
    words += ["--cap-drop", "ALL", "--new-session", "--clearenv"]
    words += ["--json-status-fd", str(layout.status_descriptor)]
    words += _mounts(layout)
    for name, value in environment.items():
        words += ["--setenv", name, value]
    words += ["--chdir", container.working_dir or "/tmp"]  # noqa: S108, the sandbox's own
    return [*words, "--", *container.command, *container.args]


def _mounts(layout: Layout) -> list[str]:
    if layout.root_descriptor is not None:
        words = ["--ro-bind-fd", str(layout.root_descriptor), "/"]
        return [*words, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108
    words = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    for path in (*HIDDEN, "/tmp", str(layout.hidden)):  # noqa: S108, as above
        if Path(path).is_dir() and not Path(path).is_symlink():
            words += ["--tmpfs", path]
    return words
