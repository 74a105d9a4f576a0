"""Celery tasks of a node: open the letter, decode, hand to the agent, come back.

The agent's passes do the work.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from worker import protocol, routes
from worker.app import Node, app, current
from worker.assignments import NotKept
from worker.protocol import Job

logger = logging.getLogger(__name__)

AnyJob = TypeVar("AnyJob", bound=Job)
Arguments = Mapping[str, object]


@app.task(name=protocol.START_TASK)
def start_containers(*, envelope: object = None, **_newer: object) -> None:
    """Take start jobs: each assigns a replica to this node."""
    _take(protocol.START_TASK, envelope, partial(_execute, protocol.StartJob))


@app.task(name=protocol.STOP_TASK)
def stop_containers(*, envelope: object = None, **_newer: object) -> None:
    """Take stop jobs: each takes a replica back."""
    _take(protocol.STOP_TASK, envelope, partial(_execute, protocol.StopJob))


@app.task(name=protocol.UPDATE_TASK)
def update_containers(*, envelope: object = None, **_newer: object) -> None:
    """Take update jobs: each changes limits in place."""
    _take(protocol.UPDATE_TASK, envelope, partial(_execute, protocol.UpdateJob))


@app.task(name=protocol.RETRY_TASK)
def retry_containers(*, envelope: object = None, **_newer: object) -> None:
    """Take retry jobs: each forgets a back-off."""
    _take(protocol.RETRY_TASK, envelope, partial(_execute, protocol.RetryJob))


@app.task(name=protocol.PING_TASK)
def ping(*, envelope: object = None, **_newer: object) -> None:
    """Answer that this worker consumes its queue."""
    _take(protocol.PING_TASK, envelope, _answer)


@app.task(name=protocol.STREAM_LOGS_TASK)
def stream_logs(*, envelope: object = None, **_newer: object) -> None:
    """Send a replica's log to whoever asked."""
    _take(protocol.STREAM_LOGS_TASK, envelope, _stream_logs)


@app.task(name=protocol.RUN_COMMAND_TASK)
def run_command(*, envelope: object = None, **_newer: object) -> None:
    """Run a command in a replica for whoever asked."""
    _take(protocol.RUN_COMMAND_TASK, envelope, _run_command)


@app.task(name=protocol.FORWARD_PORT_TASK)
def forward_port(*, envelope: object = None, **_newer: object) -> None:
    """Connect to a port of a replica for whoever asked."""
    _take(protocol.FORWARD_PORT_TASK, envelope, _forward_port)


@app.task(name=routes.ROUTE_TASK)
def set_routes(*, envelope: object = None, **_newer: object) -> None:
    """Take what the gateways of this node are to send where."""
    _take(routes.ROUTE_TASK, envelope, _set_routes)


def _take(task: str, envelope: object, act: Callable[[Node, Arguments], None]) -> None:
    """Act on a letter if it is the control plane's, for this node and task, and new."""
    node = current()
    node.latest_message_at = time.monotonic()
    try:
        letter = node.mailbox.open(task, envelope)
        if letter is None:
            return
        try:
            act(node, letter.arguments)
        except protocol.MalformedMessage as error:
            logger.warning("A message for %s is malformed and was dropped: %s", task, error)
        node.mailbox.note_taken(letter)
    except NotKept as failure:
        # It is sent again until we can tell that we have it.
        logger.debug("A message for %s could not be kept: %s", task, failure)


def _answer(node: Node, arguments: Arguments) -> None:
    if arguments.get("full") is True:
        node.reporter.ask_full()
    _note_refusal(node, str(arguments.get("refused", "")))
    node.pulse.answer(str(arguments.get("token", "")))


def _note_refusal(node: Node, why: str) -> None:
    """Say once that the control plane does not believe us, and once that it does again."""
    if why and not node.refused:
        logger.warning("The control plane refuses what this node says: %s", why)
    elif node.refused and not why:
        logger.info("The control plane believes this node again")
    node.refused = why


def _stream_logs(node: Node, arguments: Arguments) -> None:
    node.logs.begin(protocol.from_wire(protocol.LogRequest, arguments.get("request")))


def _run_command(node: Node, arguments: Arguments) -> None:
    node.commands.begin(protocol.from_wire(protocol.CommandRequest, arguments.get("request")))


def _forward_port(node: Node, arguments: Arguments) -> None:
    node.forwards.begin(protocol.from_wire(protocol.ForwardRequest, arguments.get("request")))


def _set_routes(node: Node, arguments: Arguments) -> None:
    table = protocol.from_wire(routes.RoutingTable, arguments.get("table"))
    if node.gateway is None:
        logger.warning("Routes were sent to a node that has no gateway (KIJABI_GATEWAY is off)")
        return
    node.gateway.take(table)
    if app.conf.task_always_eager:
        node.gateway.run_once()


def _execute(kind: type[AnyJob], node: Node, arguments: Arguments) -> None:
    jobs = arguments.get("jobs")
    decoded: list[AnyJob] = []
    for job in jobs if isinstance(jobs, list) else ():
        try:
            decoded.append(protocol.from_wire(kind, job))
        except protocol.MalformedMessage as error:
            logger.warning("A job is malformed and was dropped: %s", error)
    node.agent.execute(decoded)
    if app.conf.task_always_eager:
        node.agent.run_until_idle()
        node.reporter.flush()
