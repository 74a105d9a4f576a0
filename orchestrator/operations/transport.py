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
from contextlib import AbstractContextManager, nullcontext

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import BatchPublishError, OperationalError
from kombu.messaging import Producer
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
        return publish_to_nodes(task, {node: arguments}) == 1
    return _send(task, {queue: arguments}) == 1


def publish_to_nodes(task: str, arguments: Mapping[str, Mapping[str, object]]) -> int:
    """Send each node its own letter; return how many the broker took.

    However many there are, it is one query for their keys and one round trip to the broker.
    """
    letters = mail.to_nodes(task, arguments, now=time.time())
    return _send(
        task,
        {protocol.node_queue(node): {"envelope": letter} for node, letter in letters.items()},
    )


def _send(task: str, arguments: Mapping[str, Mapping[str, object]]) -> int:
    """Send one message to each queue, all or none; return how many the broker took."""
    if app.conf.task_always_eager:
        for words in arguments.values():
            _run_here(task, words)
        return len(arguments)
    try:
        with app.producer_or_acquire() as producer, _batch(producer, len(arguments)):
            for queue, words in arguments.items():
                app.send_task(
                    task,
                    kwargs=dict(words),
                    queue=Queue(queue, no_declare=True),
                    declare=[],
                    retry=False,
                    ignore_result=True,
                    producer=producer,
                )
    except (BatchPublishError, OperationalError, RedisError, OSError) as error:
        logger.warning("The broker did not take %s for %s: %s", task, ", ".join(arguments), error)
        return 0
    return len(arguments)


def _batch(producer: Producer, messages: int) -> AbstractContextManager[object]:
    """Return what sends many messages in one go; one alone is tried again on a stale connection."""
    return producer.batch() if messages > 1 else nullcontext()


def _run_here(task: str, arguments: Mapping[str, object]) -> None:
    for application in (app, *eager_applications):
        application.loader.import_default_modules()
        if task in application.tasks:
            application.tasks[task].apply(kwargs=dict(arguments), throw=True)
            return
    raise LookupError(f"no eager application knows the task {task}")
