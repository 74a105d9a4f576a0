"""What open dashboard tabs cost: memory of the web server, and its connections to the database.

    python3 manage.py up                                   # in another terminal
    python3 manage.py bench tabs --session KEY [--tabs 200]

Each tab is one stream of server-sent events, as a page keeps it. Every tab must hear of a change
that is made meanwhile. KEY is the value of a logged-in browser's `sessionid` cookie.
"""

from __future__ import annotations

import argparse
import http
import http.client
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.home import state_folder
from tests.benchmarks import cluster
from tests.benchmarks.reactions import pss_kib

SETTLE_SECONDS = 3.0
HEAR_SECONDS = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session", required=True)
    parser.add_argument("--deployment", default="web")
    parser.add_argument("--tabs", type=int, default=200)
    options = parser.parse_args()
    client = cluster.connect()
    address = (state_folder() / "run/server").read_text().strip()
    server = _server()
    before, files = pss_kib(server), _connections(server)
    tabs = [_open(address, options.session, options.deployment) for _ in range(options.tabs)]
    time.sleep(SETTLE_SECONDS)
    cost, more = pss_kib(server) - before, _connections(server) - files
    client.call("POST", f"namespaces/default/deployments/{options.deployment}/restart/")
    heard = sum(_hears(tab, options.deployment) for tab in tabs)
    print(
        f"{len(tabs)} tabs: {cost / 1024:.1f} MiB PSS, {more} database connections more; "
        f"{heard} heard of a change"
    )
    sys.exit(0 if heard == len(tabs) else 1)


def _server() -> int:
    """Return the process id of the web server."""
    root = int((state_folder() / "run/up.lock").read_text())
    for pid in Path(f"/proc/{root}/task/{root}/children").read_text().split():
        if b"uvicorn" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    sys.exit("this benchmark measures the web server of `up`, and there is none")


def _connections(pid: int) -> int:
    """Count the open files that are the database (SQLite, as `up` has it)."""
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += link.readlink().suffix == ".sqlite3"
        except OSError:
            continue
    return found


def _open(address: str, session: str, deployment: str) -> http.client.HTTPResponse:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=HEAR_SECONDS)
    connection.request(
        "GET",
        f"/live/?t=deployment/default/{deployment}",
        headers={"Cookie": f"sessionid={session}"},
    )
    answer = connection.getresponse()
    if answer.status != http.HTTPStatus.OK:
        sys.exit(f"a tab is refused with {answer.status}: is the session still logged in?")
    return answer


def _hears(tab: http.client.HTTPResponse, deployment: str) -> bool:
    topic = f'"deployment/default/{deployment}"'.encode()
    deadline = time.monotonic() + HEAR_SECONDS
    try:
        while time.monotonic() < deadline and (line := tab.readline()):
            if topic in line:
                return True
    except OSError:
        return False
    return False


if __name__ == "__main__":
    main()
