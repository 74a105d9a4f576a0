"""The control plane's Celery application: queues, broker behaviour and the beat schedule.

Redis carries wake-ups only; every setting here follows from "losing, repeating or delaying any
message must be harmless". No results, retries, ETA, revoke, priorities or remote control.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

from celery import Celery
from celery.beat import EmbeddedService
from celery.schedules import schedule
from celery.signals import worker_ready
from kombu.entity import Queue

from orchestrator.variables import number

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

CONTROL_QUEUE = "control"
SWEEP_SECONDS = 5.0
PRUNE_SECONDS = 600.0
ROLL_UP_SECONDS = 60.0
AUTOSCALE_SECONDS = number("KIJABI_AUTOSCALE_SECONDS", 5, least=0.1)

_BEGUN_AT, _BEGUN = datetime.now(UTC), time.monotonic()


def every(seconds: float) -> schedule:
    """Return a beat that no clock can stop: set back an hour, it would be silent for an hour."""
    return schedule(timedelta(seconds=seconds), nowfun=_steady_now)


def _steady_now() -> datetime:
    return _BEGUN_AT + timedelta(seconds=time.monotonic() - _BEGUN)


app = Celery("kijabi", include=["orchestrator.tasks"])
app.conf.update(
    broker_url=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    # The door is the node's: what comes from the broker is made harmless there (worker/gate.py).
    broker_transport="worker.gate:Transport",
    worker_consumer="worker.reconnecting:Consumer",
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": 120,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "unacked_key": "unacked:control",
        "unacked_index_key": "unacked_index:control",
        "unacked_mutex_key": "unacked_mutex:control",
        # Where a message goes back to that names no queue, as those of an earlier release.
        "deadletter_queue": CONTROL_QUEUE,
        # How long one wait for a message lasts: fewer wake-ups while idle, the same delay.
        "polling_interval": 3,
        # A publisher that cannot connect is told so at once: the row is sent again later.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 5,
    },
    task_queues=[Queue(CONTROL_QUEUE)],
    task_default_queue=CONTROL_QUEUE,
    task_create_missing_queues=False,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=False,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_soft_shutdown_timeout=5,
    worker_hijack_root_logger=False,
    timezone="UTC",
    beat_schedule={
        "sweep": {"task": "orchestrator.sweep", "schedule": every(SWEEP_SECONDS)},
        "autoscale": {"task": "orchestrator.autoscale", "schedule": every(AUTOSCALE_SECONDS)},
        "roll-up": {"task": "orchestrator.roll_up", "schedule": every(ROLL_UP_SECONDS)},
        "prune": {"task": "orchestrator.prune", "schedule": every(PRUNE_SECONDS)},
    },
    # The schedule is fixed in code, so there is nothing to persist between runs.
    beat_scheduler="celery.beat:Scheduler",
)

# Celery closes the database connection around every task; ours looks after it (see tasks.py), as
# opening one costs more than most tasks do.
app.conf["CELERY_DB_REUSE_MAX"] = 1_000_000_000


@worker_ready.connect
def start_beat(**_: object) -> None:
    """Run beat as a thread of the control worker when asked to.

    A forked beat (`celery -B`) would outlive a worker that is killed and tick twice ever after.
    """
    if os.environ.get("KIJABI_BEAT") == "1":
        EmbeddedService(app, thread=True, scheduler_cls=app.conf.beat_scheduler).start()
