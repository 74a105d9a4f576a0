"""Run a command inside a sandbox: a small program of its own, started by `execute.run`.

It takes a request on standard input, joins the sandbox's cgroups and namespaces, gives up every
privilege and starts the command. The replica's variables reach nothing that runs outside: a
dynamic loader or a shell of the node would obey some of them. It runs for every exec probe, so it
imports only what starts fast: `marshal` for its request, and no `pathlib`, `json` or `signal`.
"""

from __future__ import annotations

import ctypes
import fcntl
import marshal
import os
import sys

NAMESPACES = ("mnt", "uts", "ipc", "cgroup", "pid", "user")
OWNER_OF_NAMESPACE = 0xB701
NO_NEW_PRIVILEGES = 38
SIGPIPE = 13
EXIT_BY_SIGNAL = 128
NOT_FOUND = 127
NOT_EXECUTABLE = 126
NOT_ENTERED = 125


def main() -> int:
    """Enter and run; return the command's exit status as a shell would."""
    request = marshal.load(sys.stdin.buffer)  # noqa: S302, written by the agent itself
    for path in request["groups"]:
        with open(path, "w") as file:  # noqa: PTH123, see above
            file.write(str(os.getpid()))
    try:
        _enter(request["pid"], request["start"], request["user"])
    except OSError as error:
        sys.stderr.write(f"the sandbox cannot be entered: {error}\n")
        return NOT_ENTERED
    environment = request["environment"]
    os.environ["PATH"] = environment.get("PATH", os.defpath)
    try:
        child = os.posix_spawnp(
            request["argv"][0],
            request["argv"],
            environment,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)],
            setsigdef=[SIGPIPE],
        )
    except OSError as error:
        sys.stderr.write(f"{request['argv'][0]}: {error.strerror}\n")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else EXIT_BY_SIGNAL - code


def _enter(pid: int, start: int, user: int) -> None:
    """Join the namespaces of a process as the given user, without a privilege outside of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    spaces = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in NAMESPACES]
    folder = os.open(f"/proc/{pid}/cwd", os.O_PATH)
    # The user namespace that mounted everything is an outer one of that which the payload is in.
    owner = fcntl.ioctl(spaces[0], OWNER_OF_NAMESPACE)
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123, see above
        if int(file.read().rpartition(")")[2].split()[19]) != start:
            raise ProcessLookupError(f"process {pid} has ended")
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    for descriptor in (owner, *spaces):
        _check(libc.setns(descriptor, 0))
        os.close(descriptor)
    _check(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    os.fchdir(folder)
    os.close(folder)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    sys.exit(main())
