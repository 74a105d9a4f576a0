"""Celery tasks of a node: decode, hand to the agent, come back. The agent's passes do the work."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TypeVar

from worker import protocol
from worker.app import app, current
from worker.protocol import Job

logger = logging.getLogger(__name__)

AnyJob = TypeVar("AnyJob", bound=Job)


@app.task(name=protocol.START_TASK)
def start_containers(*, jobs: list[object], **_newer: object) -> None:
    """Take start jobs: each assigns a replica to this node."""
    _execute(protocol.StartJob, jobs)


@app.task(name=protocol.STOP_TASK)
def stop_containers(*, jobs: list[object], **_newer: object) -> None:
    """Take stop jobs: each takes a replica back."""
    _execute(protocol.StopJob, jobs)


@app.task(name=protocol.UPDATE_TASK)
def update_containers(*, jobs: list[object], **_newer: object) -> None:
    """Take update jobs: each changes limits in place."""
    _execute(protocol.UpdateJob, jobs)


@app.task(name=protocol.RETRY_TASK)
def retry_containers(*, jobs: list[object], **_newer: object) -> None:
    """Take retry jobs: each forgets a back-off."""
    _execute(protocol.RetryJob, jobs)


@app.task(name=protocol.PING_TASK)
def ping(*, token: str = "", full: bool = False, **_newer: object) -> None:
    """Answer that this worker consumes its queue."""
    node = current()
    node.latest_message_at = time.monotonic()
    if full:
        node.reporter.ask_full()
    node.reporter.answer_ping(token)


@app.task(name=protocol.STREAM_LOGS_TASK)
def stream_logs(*, request: object, **_newer: object) -> None:
    """Send a replica's log to whoever asked."""
    current().latest_message_at = time.monotonic()
    try:
        current().logs.begin(protocol.from_wire(protocol.LogRequest, request))
    except protocol.MalformedMessage as error:
        logger.warning("A log request is malformed and was dropped: %s", error)


@app.task(name=protocol.RUN_COMMAND_TASK)
def run_command(*, request: object, **_newer: object) -> None:
    """Run a command in a replica for whoever asked."""
    current().latest_message_at = time.monotonic()
    try:
        current().commands.begin(protocol.from_wire(protocol.CommandRequest, request))
    except protocol.MalformedMessage as error:
        logger.warning("A request to run a command is malformed and was dropped: %s", error)


def _execute(kind: type[AnyJob], jobs: Iterable[object]) -> None:
    node = current()
    node.latest_message_at = time.monotonic()
    decoded: list[AnyJob] = []
    for job in jobs:
        try:
            decoded.append(protocol.from_wire(kind, job))
        except protocol.MalformedMessage as error:
            logger.warning("A job is malformed and was dropped: %s", error)
    node.agent.execute(decoded)
    if app.conf.task_always_eager:
        node.agent.run_until_idle()
        node.reporter.flush()
