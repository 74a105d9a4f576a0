"""The bubblewrap command line of one sandbox, built without touching the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from worker.protocol import ReplicaSpec
from worker.runtimes.sandbox.images import RESOLVER_FILE
from worker.runtimes.variables import variables

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOME = "/tmp"  # noqa: S108, the sandbox's own
NOBODY = 65534
# Where an image is put for a user who may not walk to it; only bubblewrap's own processes see that.
STAGE = "/mnt"
PUT_ON_STAGE = 'mount --rbind "$1" "$2" || exit 1; shift 2; exec "$@"'
# The first process writes down who it is before it becomes bubblewrap, so that there is no moment
# in which a sandbox runs and nobody could find it. It does so in its working directory: when that
# was removed meanwhile, nobody wants this sandbox any more. Standard input is the lock on the
# container's name, held until then. After that it joins its cgroups and becomes the rest.
FIRST_PROCESS = """
record() { shift 19; echo "{\\"pid\\": $$, \\"start\\": $1}" > process.json; }
read -r stat < /proc/$$/stat && record ${stat##*) } || exit 1
while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done
shift; cd /; exec "$@" < /dev/null
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things are: descriptors are inherited by the process, paths are the node's.

    `root` is an image's folder, None for the node's own root; `masks` are folders to cover with an
    empty one, `shared` are files of the node put into the image, `resolver_descriptor` says how to
    look names up.
    """

    bwrap: str
    status_descriptor: int
    options_descriptor: int
    root: str | None
    masks: Sequence[str]
    shared: Sequence[str]
    groups: Sequence[str]
    drop_user: bool
    resolver_descriptor: int | None = None


def argv(replica: ReplicaSpec, layout: Layout) -> list[str]:
    """Return the whole command: record, join the cgroups, drop root, make the namespaces, run."""
    words = ["/bin/sh", "-c", FIRST_PROCESS, "sh", *layout.groups, "--"]
    if layout.drop_user and layout.root is not None:
        words += ["unshare", "--mount", "--propagation", "slave", "--"]
        words += ["/bin/sh", "-c", PUT_ON_STAGE, "sh", layout.root, STAGE]
    if layout.drop_user:
        words += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    words += [layout.bwrap, "--args", str(layout.options_descriptor)]
    return [*words, "--", *replica.container.command, *replica.container.args]


def options(replica: ReplicaSpec, layout: Layout, environment: Mapping[str, str]) -> bytes:
    """Return what bubblewrap reads from a descriptor: variables do not show in `ps` that way."""
    words = ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    words += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--hostname", hostname(replica)]
    words += ["--cap-drop", "ALL", "--new-session", "--clearenv"]
    words += ["--json-status-fd", str(layout.status_descriptor)]
    words += _mounts(layout)
    for name, value in environment.items():
        words += ["--setenv", name, value]
    words += ["--chdir", replica.container.working_dir or HOME]
    return b"".join(word.encode() + b"\0" for word in words)


def hostname(replica: ReplicaSpec) -> str:
    """Return the host name inside: the replica's deployment and slot."""
    return f"{replica.deployment}-{replica.slot}"[:63]


def environment(
    replica: ReplicaSpec, node: str, ports: Iterable[tuple[int, int]]
) -> dict[str, str]:
    """Return every variable the payload gets; what the replica says wins."""
    numbers = (number for _, number in ports)
    return {"PATH": SEARCH, "HOME": HOME} | variables(replica, node, numbers)


def _mounts(layout: Layout) -> list[str]:
    root = layout.root or "/"
    words = ["--ro-bind", STAGE if layout.drop_user and layout.root else root, "/"]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for path in layout.masks:
        words += ["--tmpfs", path]
    for path in layout.shared:
        words += ["--ro-bind", path, path]
    if layout.resolver_descriptor is not None:
        words += ["--ro-bind-data", str(layout.resolver_descriptor), RESOLVER_FILE]
    return words
