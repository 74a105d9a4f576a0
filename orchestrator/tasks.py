"""Celery entry points of the control plane: read the clock, call one operation, nudge.

Every task may run twice, late, or at the same time as itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from celery import Task
from celery.signals import task_prerun, worker_ready
from django.db import close_old_connections
from django.utils import timezone
from redis.exceptions import RedisError

from orchestrator.celery import app
from orchestrator.operations import (
    autoscaling,
    broker_users,
    dispatch,
    gateways,
    ingest,
    liveness,
    mail,
    measurements,
    reconcile,
    route_tables,
    routing,
    statistics,
    sweep,
)
from worker import protocol

logger = logging.getLogger(__name__)

CONFLICT_RETRY_SECONDS = 0.2
LONGEST_ALARM_SECONDS = 60.0
# While hundreds of deployments are unsettled, a sweep takes a part of them: it would else keep
# SQLite's only write lock from everybody (a waiter polls it, and whoever just let go is faster).
SWEEP_BUDGET_SECONDS = 0.5


class _Rotation:
    """Where the latest sweep left off."""

    last = 0

    def rotate(self, ids: Sequence[int]) -> list[int]:
        """Return the ascending ids, those after the latest one first."""
        return [i for i in ids if i > self.last] + [i for i in ids if i <= self.last]


_sweeping = threading.Lock()
_autoscaling = threading.Lock()
_swept = _Rotation()


@worker_ready.connect
def watch_nodes(**_: object) -> None:
    """Listen to the nodes from a thread of its own: a queue of tasks must not delay that."""
    threading.Thread(target=_watch_nodes, name="liveness", daemon=True).start()


def _watch_nodes() -> None:
    watch, wait = liveness.Watch(), 1.0
    while True:
        try:
            close_old_connections()
            wait = watch.look(now=timezone.now()).total_seconds()
        except Exception:
            # Without this thread no failure of a node would ever be noticed again.
            logger.exception("The nodes could not be looked after")
        time.sleep(wait)


@task_prerun.connect
def renew_connection(task: Task, **_: object) -> None:
    """Let go of a database connection that is old or broken, so that the task gets a sound one."""
    if not task.request.is_eager:
        close_old_connections()


@app.task(name=dispatch.RECONCILE_TASK)
def reconcile_deployment(*, deployment_id: int, **_newer: object) -> None:
    """Run one pass over one deployment."""
    _reconcile(deployment_id)


@app.task(name=protocol.REPORT_TASK)
def ingest_report(*, envelope: object = None, **_newer: object) -> None:
    """Take a node's report, then run a pass over every deployment it concerns."""
    now = timezone.now()
    report = mail.read_report(envelope, now=now.timestamp())
    if report is None:
        return
    result = ingest.ingest(report, now=now)
    woken: set[int] = set()
    if report.routing is not None and report.routing.waiting:
        woken = autoscaling.wake(now=now)
    for deployment_id in sorted(result.deployments | result.released | woken):
        _reconcile(deployment_id)


@app.task(name=protocol.METRICS_TASK)
def ingest_metrics(*, envelope: object = None, **_newer: object) -> None:
    """Keep what a node measured."""
    now = timezone.now()
    report = mail.read_metrics(envelope, now=now.timestamp())
    if report is not None:
        measurements.take(report, now=now)


@app.task(name="orchestrator.roll_up")
def roll_up_metrics(**_newer: object) -> None:
    """Thin out what was measured a while ago, and forget what is older than a day."""
    measurements.roll_up(now=timezone.now())


@app.task(name="orchestrator.autoscale")
def evaluate_autoscalers(**_newer: object) -> None:
    """Let every autoscaler look and decide; one look at a time."""
    if not _autoscaling.acquire(blocking=False):
        return
    try:
        autoscaling.run(now=timezone.now())
    finally:
        _autoscaling.release()


@app.task(name="orchestrator.sweep")
def sweep_unsettled(**_newer: object) -> None:
    """Repair what lost messages left undone; one sweep at a time, and none holds others up long."""
    if not _sweeping.acquire(blocking=False):
        return
    try:
        now = timezone.now()
        _restore_logins()
        dispatch.resend_unconfirmed(now=now)
        routing.repair(now=now)
        route_tables.resend_unconfirmed(now=now)
        gateways.watch(now=now)
        _sweep_for(SWEEP_BUDGET_SECONDS)
        statistics.flush()
    finally:
        _sweeping.release()


def _restore_logins() -> None:
    try:
        broker_users.restore()
    except (RedisError, OSError) as error:
        logger.warning("The nodes' logins at the broker could not be checked: %s", error)


def _sweep_for(seconds: float) -> None:
    """Run passes that are owed, going on where the sweep before had to leave off."""
    until = time.monotonic() + seconds
    for deployment_id in _swept.rotate(sweep.owed(now=timezone.now())):
        _reconcile(deployment_id)
        if time.monotonic() > until:
            _swept.last = deployment_id
            return
    _swept.last = 0


@app.task(name="orchestrator.prune")
def prune(**_newer: object) -> None:
    """Forget what is old."""
    sweep.prune(now=timezone.now())


def _reconcile(deployment_id: int) -> None:
    """Run a pass; one deployment that fails must not keep the others from theirs."""
    begun = time.monotonic()
    try:
        result = reconcile.run(deployment_id, now=timezone.now())
    except Exception:
        logger.exception("The pass over deployment %s failed", deployment_id)
        return
    if not app.conf.task_always_eager:
        statistics.note_pass(time.monotonic() - begun, result.reasons)
    if result.outcome is reconcile.Outcome.CONFLICT:
        _nudge_in(CONFLICT_RETRY_SECONDS, deployment_id)
    elif result.wake_at is not None:
        wait = (result.wake_at - timezone.now()).total_seconds()
        if wait < LONGEST_ALARM_SECONDS:
            _nudge_in(max(wait, 0.0), deployment_id)


def _nudge_in(seconds: float, deployment_id: int) -> None:
    """Nudge a little later. A timer lost with the process costs only the time to the next sweep."""
    if app.conf.task_always_eager:
        return
    timer = threading.Timer(seconds, dispatch.nudge, args=(deployment_id,))
    timer.daemon = True
    timer.start()
