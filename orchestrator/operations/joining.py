"""How a machine becomes a node: a token for one use, and the keys that it then has.

A token lives ten minutes and lets one machine in, once, also when two come at the same time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from orchestrator.core.lifecycle import NodeState
from orchestrator.models import JoinToken, Node, NodeIdentity
from orchestrator.operations import announce, broker_users, events, mail
from orchestrator.operations.events import Act, Change
from worker import identity, protocol
from worker.identity import Identity, Keys, NoIdentity

LIFETIME = timedelta(minutes=10)
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Addresses below nodes/, of the API and of pages, that are no nodes.
_RESERVED = frozenset({"add", "join", "join-tokens", "rebalance"})
_AWAY = frozenset({NodeState.SUSPECT, NodeState.LOST})


class TokenUseless(LookupError):
    """The join token lets nobody in; the message says why."""


class NameTaken(LookupError):
    """A node of this name is there."""


class CannotJoin(ValueError):
    """What the machine says of itself makes no sense to this control plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeJoinToken:
    """A token made just now: the only moment at which its text is known."""

    id: int
    text: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a machine that wants to join says of itself; `host` is how it reached us."""

    name: str
    check_key: str
    seal_key: str
    version: int
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What a machine that joined receives."""

    node: str
    cluster: str
    control_key: str
    broker: str
    version: int = protocol.VERSION


def make_token(change: Change) -> MadeJoinToken:
    """Make a token that lets one machine join."""
    text = f"kjoin_{secrets.token_urlsafe(32)}"
    with transaction.atomic():
        JoinToken.objects.filter(expires_at__lt=change.now - timedelta(days=1)).delete()
        row = JoinToken.objects.create(
            digest=_digest(text),
            made_by=change.actor,
            created_at=change.now,
            expires_at=change.now + LIFETIME,
        )
        message = f"{change.actor} made a token with which one machine may join"
        events.record(
            change,
            "JoinTokenMade",
            message,
            Act(verb="create", kind="join token", name=str(row.pk)),
        )
    return MadeJoinToken(id=row.pk, text=text, expires_at=row.expires_at)


def command(token: str, address: str) -> str:
    """Return what to run on the machine that is to join."""
    return f"python3 manage.py node join {address} --token {token}"


def join(token: str, machine: Machine, *, now: datetime) -> Welcome:
    """Let a machine in; nothing is changed, and the token stays good, when it is refused.

    Raises:
        TokenUseless: the token is unknown, used or too old.
        NameTaken: a node of that name is there.
        CannotJoin: a key is none, the name cannot be, or it speaks another protocol.
        BrokerAway: its login could not be made.
        NoOwnLogins: the broker does not let us make one.
    """
    with transaction.atomic():
        row = _spend(token, machine.name, now)
        _check(machine)
        node = Node.objects.filter(name=machine.name).first()
        if node is not None and node.state not in _AWAY:
            raise NameTaken(
                f"a node named {machine.name} is there and answers; choose another with --name, "
                "or end that one and wait until it is seen to be silent"
            )
        login = broker_users.make(machine.name, machine.host)
        _save(machine.name, (machine.check_key, machine.seal_key), login.digest, now)
        events.about_node(
            machine.name,
            reason="NodeAdmitted",
            message=f"{machine.name} joined with a token of {row.made_by}; it is still to be heard",
            now=now,
        ).save()
        announce.changed(announce.node_topic(machine.name))
        return Welcome(
            node=machine.name,
            cluster=settings.CLUSTER_ID,
            control_key=mail.control_key(),
            broker=login.url,
        )


def enrol_here(name: str, home: Path, *, now: datetime) -> None:
    """Make a node of this machine known, and write its identity; no token is needed.

    One that is known already keeps its keys and its login; where the broker is, it is told anew.

    Raises:
        CannotJoin: the name cannot be.
        BrokerAway: its login could not be made.
        NoOwnLogins: the broker does not let us make one.
    """
    _check_name(name)
    path = identity.path_in(home, name)
    with transaction.atomic():
        keys, password = _kept(path, name)
        login = broker_users.make(name, "", password=password)
        _save(name, keys.public, login.digest, now)
        Identity(
            node=name,
            cluster=settings.CLUSTER_ID,
            broker=login.url,
            control_key=mail.control_key(),
            keys=keys,
        ).save(path)


def _kept(path: Path, name: str) -> tuple[Keys, str]:
    """Return keys and password of an identity that is still good; else fresh keys and none."""
    row = NodeIdentity.objects.select_for_update().filter(name=name).first()
    try:
        known = Identity.load(path)
    except NoIdentity:
        return Keys.make(), ""
    if row is None or known.keys.public != (row.check_key, row.seal_key):
        return Keys.make(), ""
    password = urlsplit(known.broker).password or ""
    return known.keys, password if broker_users.digest_of(password) == row.broker_digest else ""


def _spend(token: str, name: str, now: datetime) -> JoinToken:
    """Use a token up; of two at once, one finds it used."""
    rows = JoinToken.objects.filter(digest=_digest(token))
    spent = rows.filter(used_at=None, expires_at__gt=now).update(used_at=now, node=name[:63])
    row = rows.first()
    if row is None:
        raise TokenUseless("this join token is unknown; make one on the dashboard's page of nodes")
    if not spent and row.used_at is not None:
        raise TokenUseless(
            f"this join token was used by {row.node}; each lets one machine in, make another"
        )
    if not spent:
        raise TokenUseless(
            f"this join token is too old: it was good until {row.expires_at:%H:%M:%S} UTC; "
            "make another"
        )
    return row


def _check(machine: Machine) -> None:
    _check_name(machine.name)
    if machine.version != protocol.VERSION:
        older = "control plane" if machine.version > protocol.VERSION else "machine"
        raise CannotJoin(
            f"the machine speaks protocol version {machine.version} and the control plane "
            f"{protocol.VERSION}; upgrade the {older} first"
        )
    try:
        identity.verify_key(machine.check_key)
        identity.public_key(machine.seal_key)
    except ValueError as error:
        raise CannotJoin(f"a public key of the machine is none: {error}") from error


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name in _RESERVED:
        raise CannotJoin(
            f"{name!r} is no name for a node: use lower-case letters, digits and '-', at most 63"
        )


def _save(name: str, public: tuple[str, str], broker_digest: str, now: datetime) -> None:
    check_key, seal_key = public
    NodeIdentity.objects.update_or_create(
        name=name,
        defaults={
            "check_key": check_key,
            "seal_key": seal_key,
            "broker_digest": broker_digest,
            "issued_at": now,
        },
    )


def _digest(text: str) -> str:
    """Return the digest; a token has 256 random bits, so a plain hash is as good as a slow one."""
    return hashlib.sha256(text.encode()).hexdigest()
