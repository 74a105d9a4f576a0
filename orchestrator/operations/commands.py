"""Commands that people run in replicas: checked, written down before and after, sent to the node.

What runs is nobody's desired state: nothing is sent again, and nothing is planned from it.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.models import Event, Replica
from orchestrator.operations import events
from orchestrator.operations.events import Act, Change
from orchestrator.operations.replicas import ReplicaNotFound, ReplicaNotRunning
from orchestrator.operations.transport import publish
from worker import protocol

MAX_WORDS = 64
MAX_BYTES = 8 * 1024
MAX_SECONDS = 600
USUAL_SECONDS = 60


class CommandInvalid(ValueError):
    """A command that cannot be: no words, too many, too long, or too much time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that has been written down; `event` is where."""

    uid: str
    replica: str
    node: str
    argv: tuple[str, ...]
    timeout_seconds: int
    event: Event


def begin(replica: str, argv: Sequence[str], *, timeout_seconds: int, change: Change) -> Command:
    """Check a command and write down who runs it, where and why; nothing is sent yet.

    Raises:
        CommandInvalid: it is out of bounds.
        ReplicaNotFound: there is no such replica.
        ReplicaNotRunning: it is on no node, stopping or gone.
    """
    words = _checked(argv, timeout_seconds)
    with transaction.atomic():
        row = find_running(replica)
        event = events.about_replica(
            row,
            reason="CommandRun",
            message=f"{change.actor} runs in replica {row.uid}: {shlex.join(words)}",
            now=change.now,
            cause_id=None,
        )
        events.done_by(change, event, Act(verb="run", kind="replica", name=row.uid)).save()
        return Command(
            uid=protocol.answer_uid(str(row.node_id), uuid.uuid4().hex),
            replica=row.uid,
            node=str(row.node_id),
            argv=words,
            timeout_seconds=timeout_seconds,
            event=event,
        )


def send(command: Command) -> bool:
    """Send the command to its node; return whether the broker took it."""
    request = protocol.CommandRequest(
        uid=command.uid,
        replica=protocol.ReplicaUid(command.replica),
        argv=command.argv,
        timeout_seconds=command.timeout_seconds,
    )
    queue = protocol.node_queue(command.node)
    return publish(protocol.RUN_COMMAND_TASK, queue, {"request": protocol.to_wire(request)})


def finish(command: Command, message: str, *, is_exit: bool, now: datetime) -> None:
    """Write down how the command ended."""
    with transaction.atomic():
        events.following(
            command.event,
            reason="CommandEnded",
            message=f"the command in replica {command.replica} is over: {message}",
            now=now,
            severity=events.warning_if(not is_exit),
        ).save()


def find_running(uid: str) -> Replica:
    """Return a replica that runs somewhere.

    Raises:
        ReplicaNotFound: there is no such replica.
        ReplicaNotRunning: it is on no node, stopping or gone.
    """
    # PostgreSQL cannot even compare with a NUL.
    rows = Replica.objects.select_related("deployment", "revision").defer("log_tail")
    row = rows.filter(uid=uid).first() if "\x00" not in uid else None
    if row is None:
        raise ReplicaNotFound(uid)
    if row.node_id is None:
        raise ReplicaNotRunning(f"replica {uid} is on no node yet: {row.waiting}")
    if not ReplicaPhase(row.phase).is_live:
        raise ReplicaNotRunning(f"replica {uid} is {row.phase}; nobody can reach into it any more")
    return row


def _checked(argv: Sequence[str], timeout_seconds: int) -> tuple[str, ...]:
    words = tuple(argv)
    if not 1 <= len(words) <= MAX_WORDS:
        raise CommandInvalid(f"a command has 1 to {MAX_WORDS} words, this has {len(words)}")
    for number, word in enumerate(words, start=1):
        if not isinstance(word, str) or not word:
            raise CommandInvalid(f"word {number} of the command is no text, or empty")
        if "\x00" in word or any("\ud800" <= letter <= "\udfff" for letter in word):
            raise CommandInvalid(f"word {number} of the command holds a character no program takes")
    size = sum(len(word.encode()) for word in words)
    if size > MAX_BYTES:
        raise CommandInvalid(f"a command has at most {MAX_BYTES} bytes, this has {size}")
    if not 1 <= timeout_seconds <= MAX_SECONDS:
        raise CommandInvalid(
            f"a command may take 1 to {MAX_SECONDS} seconds, not {timeout_seconds}"
        )
    return words
