"""Every node's own user at the broker: it reaches its own queue and answers, and adds reports.

A broker keeps users in memory: whoever restarts or replaces it loses them, so the sweep puts back
those that are missing.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import redis
from django.conf import settings
from redis.exceptions import RedisError, ResponseError

from orchestrator.models import NodeIdentity
from worker import protocol

logger = logging.getLogger(__name__)

# What kombu's consumer and the streams of logs, commands and connections need; found with ACL LOG.
_COMMANDS = (
    "brpop llen lpush rpush zadd zrem zrange zrevrangebyscore hset hget hdel sadd smembers "
    "multi exec discard watch unwatch evalsha eval script|load set get exists expire xadd del "
    "ping select info client|setname"
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class BrokerAway(Exception):
    """The broker does not answer, and a node's own login has to be made there."""

    def __init__(self) -> None:
        super().__init__("the broker does not answer, and a node needs its own login there")


class NoOwnLogins(Exception):
    """The broker does not let us make users."""

    def __init__(self, why: object) -> None:
        # A Redis without the command repeats what it was sent, the digest of a password among it.
        said = str(why).split(", with args", maxsplit=1)[0]
        super().__init__(
            f"the broker does not let the control plane make a login for each node ({said}); give "
            "REDIS_URL a user that may use ACL on Redis 7 or later, or set "
            "KIJABI_SHARED_BROKER_LOGIN=1 to give every node the control plane's own login"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a node reaches the broker; `digest` is empty when it shares our own login."""

    url: str
    digest: str


def make(node: str, asked_host: str, *, password: str = "") -> Login:
    """Make a node's own user; return its login, as seen from whoever asked for `asked_host`.

    Without the password it has, it gets a new one, and whoever was this node before is shown out.

    Raises:
        BrokerAway: the broker does not answer.
        NoOwnLogins: the broker does not let us, and nodes are not to share our login.
    """
    is_new = not password
    password = password or secrets.token_urlsafe(24)
    try:
        _put(node, digest_of(password))
        if is_new:
            client().execute_command("CLIENT", "KILL", "USER", _user(node))
    except ResponseError as error:
        if not settings.SHARED_BROKER_LOGIN:
            raise NoOwnLogins(error) from error
        return Login(url=_address(asked_host, ""), digest="")
    except (RedisError, OSError) as error:
        raise BrokerAway from error
    url = _address(asked_host, f"{_user(node)}:{password}@")
    return Login(url=url, digest=digest_of(password))


def digest_of(password: str) -> str:
    """Return what the broker keeps of a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def restore(*, everybody: bool = False) -> int:
    """Put back the users a broker has lost, or set everybody anew; return how many.

    Raises:
        RedisError: it does not answer.
    """
    wanted = dict(
        NodeIdentity.objects.exclude(broker_digest="").values_list("name", "broker_digest")
    )
    if not wanted:
        return 0
    listed: Any = client().execute_command("ACL", "LIST")
    # One line a user: `user NAME on #DIGEST …`.
    words = (line.decode().split() for line in listed)
    known = {word[1]: set(word) for word in words}
    missing = [
        name
        for name, digest in sorted(wanted.items())
        if everybody or f"#{digest}" not in known.get(_user(name), ())
    ]
    for name in missing:
        _put(name, wanted[name])
    if missing and not everybody:
        logger.warning("The broker had lost the logins of %d nodes; they are back", len(missing))
    return len(missing)


def _user(node: str) -> str:
    return f"node-{node}"


def _put(node: str, digest: str) -> None:
    """Make the user, or set it to exactly this. The broker keeps the digest of the password."""
    own = protocol.node_queue(node)
    keys = [f"~{own}", f"~{own}\x06\x16?"]
    keys += [f"~unacked{part}:{node}" for part in ("", "_index", "_mutex")]
    keys += [f"~_kombu.binding.{own}", f"~_kombu.binding_permanent.{own}"]
    keys.append(f"~{protocol.heard_key(node)}")
    keys += [f"~logs:{node}.*", f"~commands:{node}.*", f"~forwards:{node}.*"]
    rules = ["reset", "on", f"#{digest}", *keys, "resetchannels", "-@all"]
    rules += [f"+{command}" for command in _COMMANDS.split()]
    # A selector of its own: with the other commands a node could empty the queue of reports.
    rules.append(f"(+lpush ~{protocol.CONTROL_QUEUE})")
    client().execute_command("ACL", "SETUSER", _user(node), *rules)


def _address(asked_host: str, login: str) -> str:
    """Return the broker's address for a node: ours, unless ours means only this machine.

    Nodes of this very machine ask for no host.
    """
    base = urlsplit((asked_host and settings.NODE_BROKER) or settings.REDIS_URL)
    host = base.hostname or ""
    if host in _LOOPBACK and asked_host not in _LOOPBACK and asked_host:
        host = asked_host
    if not login and (base.username or base.password or settings.NODE_BROKER):
        login = _own_login()
    place = f"[{host}]" if ":" in host else host
    port = f":{base.port}" if base.port else ""
    return urlunsplit((base.scheme, f"{login}{place}{port}", base.path, base.query, ""))


def _own_login() -> str:
    ours = urlsplit(settings.REDIS_URL)
    if not ours.password:
        return ""
    return f"{quote(ours.username or '', safe='%')}:{quote(ours.password, safe='%')}@"


@cache
def client() -> redis.Redis:
    """Return the connection by which this process asks the broker itself."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2, socket_keepalive=True
    )
