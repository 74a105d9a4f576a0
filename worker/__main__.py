"""`python -m worker`: run one node worker until it is told to end; containers run on."""

from __future__ import annotations

import logging
import os
import sys

import redis

from worker import app as composition
from worker.config import WorkerConfig, home_of, name_of
from worker.gateway import assembly
from worker.identity import Identity, path_in
from worker.protocol import node_queue
from worker.watchdog import Watchdog

CONSUMERS = 4

logger = logging.getLogger(__name__)


def main() -> None:
    """Put the node together and consume its queue."""
    logging.basicConfig(
        level=os.environ.get("KIJABI_LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # Every message logs two lines otherwise, a ping every few seconds among them.
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
    try:
        identity = Identity.load(path_in(home_of(os.environ), name_of(os.environ)))
        config = WorkerConfig.from_env(identity=identity)
    except (ValueError, OSError) as error:
        sys.exit(f"kijabi node: {error}")
    try:
        node = _put_together(config, identity)
    except OSError as error:
        sys.exit(f"kijabi node: {error}")
    composition.install(node)
    node.start()
    Watchdog(node, redis.Redis.from_url(config.redis_url, socket_timeout=3)).start()
    status = _consume(config)
    node.close()
    logging.shutdown()
    # At once: threads that wait on the engine would hold the process; nothing is lost with them.
    os._exit(status)


def _put_together(config: WorkerConfig, identity: Identity) -> composition.Node:
    if not config.gateway and (problem := assembly.remove(config)):
        logger.warning("The routes of an earlier run are still there: %s", problem)
    composition.configure(config)
    runtimes = composition.choose_runtimes(config, patient=True)
    return composition.build(config, identity, runtimes, composition.send_report)


def _consume(config: WorkerConfig) -> int:
    """Take messages until told to end; return the exit status, not 0 when ended by a fault."""
    worker = composition.app.Worker(
        hostname=f"{config.node}@kijabi",
        pool_cls="threads",
        concurrency=CONSUMERS,
        queues=[node_queue(config.node)],
        loglevel="INFO",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    try:
        worker.start()
    except Exception:
        logger.exception("The consumer of this node's queue has failed")
        return os.EX_SOFTWARE
    return worker.exitcode or os.EX_OK


if __name__ == "__main__":
    main()
