"""`python -m worker.join`: make this machine a node of a control plane elsewhere, with a token.

The keys are made here; only their public halves leave the machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import redis

from worker import protocol
from worker.config import home_of
from worker.envelope import SKEW_SECONDS
from worker.identity import Identity, Keys, NoIdentity, path_in

TIMEOUT_SECONDS = 20


class CannotJoin(Exception):
    """The machine did not join; the message says why, for a person."""


def main() -> None:
    """Join; say in one sentence what became of it."""
    parser = argparse.ArgumentParser("manage.py node join", description=main.__doc__)
    parser.add_argument("url", help="address of the control plane")
    parser.add_argument("--token", required=True, help="from the dashboard's page of nodes")
    parser.add_argument("--name", required=True, help="unique name of the node")
    options = parser.parse_args()
    try:
        identity = join(options.url.rstrip("/"), options.token, options.name)
        _reach(identity)
    except CannotJoin as problem:
        sys.exit(f"kijabi: {problem}")
    print(f"kijabi: {identity.node} joined {identity.server}")  # noqa: T201, a command's answer


def join(url: str, token: str, name: str) -> Identity:
    """Ask the control plane to let this machine in; keep and return what it becomes.

    Raises:
        CannotJoin: it has joined already, or was not let in.
    """
    path = path_in(home_of(os.environ), name)
    _refuse_twice(path, name)
    keys = Keys.make()
    check_key, seal_key = keys.public
    answer = _post(
        url,
        {
            "token": token,
            "name": name,
            "check_key": check_key,
            "seal_key": seal_key,
            "version": protocol.VERSION,
        },
    )
    identity = _identity(url, answer, keys)
    identity.save(path)
    _compare_clocks(answer)
    return identity


def _refuse_twice(path: Any, name: str) -> None:
    try:
        known = Identity.load(path)
    except NoIdentity:
        return
    raise CannotJoin(
        f"{name} has joined {known.server or 'the control plane of this state folder'} already; "
        f"`manage.py node --name {name}` starts it (remove {path} to join anew)"
    )


def _post(url: str, body: dict[str, object]) -> dict[str, Any]:
    if not _is_address(url):
        raise CannotJoin(f"{url!r} is no address; write http://HOST:PORT or https://HOST")
    request = urllib.request.Request(  # noqa: S310, the scheme was checked
        f"{url}/api/v1/nodes/join/",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            found = json.load(answer)
    except urllib.error.HTTPError as refusal:
        raise CannotJoin(_why(url, refusal)) from None
    except (urllib.error.URLError, OSError) as error:
        raise CannotJoin(f"{url} cannot be reached: {getattr(error, 'reason', error)}") from None
    except (ValueError, http.client.HTTPException):
        raise CannotJoin(f"{url} does not answer as a control plane does") from None
    return found if isinstance(found, dict) else {}


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_whole and parts.scheme in {"http", "https"} and not re.search(r"[\x00- \x7f]", url)


def _why(url: str, refusal: urllib.error.HTTPError) -> str:
    try:
        detail = json.load(refusal)["detail"]
    except (ValueError, KeyError, TypeError):
        return f"{url} does not answer as a control plane does (HTTP {refusal.code})"
    return f"not let in: {detail}"


def _identity(url: str, answer: dict[str, Any], keys: Keys) -> Identity:
    version = answer.get("version")
    if not isinstance(version, int) or version > protocol.VERSION:
        raise CannotJoin(
            f"the control plane speaks protocol version {version}, and this machine understands no "
            f"more than {protocol.VERSION}; upgrade Kijabi on this machine, then join again"
        )
    try:
        return Identity(
            node=str(answer["node"]),
            cluster=str(answer["cluster"]),
            broker=str(answer["broker"]),
            control_key=str(answer["control_key"]),
            keys=keys,
            server=url,
        )
    except KeyError as missing:
        raise CannotJoin(f"{url} does not answer as a control plane does: no {missing}") from None


def _compare_clocks(answer: dict[str, Any]) -> None:
    theirs = answer.get("now")
    if isinstance(theirs, int | float) and abs(theirs - time.time()) > SKEW_SECONDS:
        raise CannotJoin(
            f"joined, but the clocks of this machine and the control plane are "
            f"{abs(theirs - time.time()):.0f} s apart, so that neither believes the other's "
            "messages; set the clock (NTP), then `manage.py node` starts the node"
        )


def _reach(identity: Identity) -> None:
    place = urlsplit(identity.broker)
    try:
        with redis.Redis.from_url(identity.broker, socket_connect_timeout=5) as broker:
            broker.ping()
    except (redis.RedisError, OSError) as error:
        raise CannotJoin(
            f"joined, but the broker at {place.hostname}:{place.port} cannot be reached from here "
            f"({error}); open that port, or start `manage.py up` there with --host, then "
            "`manage.py node` starts the node"
        ) from None


if __name__ == "__main__":
    main()
