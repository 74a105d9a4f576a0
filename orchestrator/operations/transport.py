"""Publish messages to the broker: one way out, short time limits, never a retry here.

What goes to a node's queue is a letter, sealed and signed for it at this last moment.

A message for a direct queue goes through the anonymous exchange (Celery sees to that) and nothing
is declared for it, so a flushed Redis has no binding to lose. What could not be sent stays a row
and is sent again by the sweep.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from orchestrator.celery import app
from orchestrator.operations import mail
from worker import protocol

logger = logging.getLogger(__name__)

# Further applications whose tasks run in this process under `task_always_eager` (the node's).
eager_applications: list[Celery] = []


def publish(task: str, queue: str, arguments: Mapping[str, object]) -> bool:
    """Send one task message; return whether the broker took it."""
    node = protocol.node_of_queue(queue)
    if node is not None:
        letter = mail.to_node(node, task, arguments, now=time.time())
        if letter is None:
            return False
        arguments = {"envelope": letter}
    if app.conf.task_always_eager:
        _run_here(task, arguments)
        return True
    try:
        app.send_task(
            task,
            kwargs=dict(arguments),
            queue=Queue(queue, no_declare=True),
            declare=[],
            retry=False,
            ignore_result=True,
        )
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("The broker did not take %s for %s: %s", task, queue, error)
        return False
    return True


def _run_here(task: str, arguments: Mapping[str, object]) -> None:
    for application in (app, *eager_applications):
        application.loader.import_default_modules()
        if task in application.tasks:
            application.tasks[task].apply(kwargs=dict(arguments), throw=True)
            return
    raise LookupError(f"no eager application knows the task {task}")
