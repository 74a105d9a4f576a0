"""`python -m worker`: run one node worker until it is told to end; containers run on."""

from __future__ import annotations

import logging
import os
import signal
import sys

import redis

from worker import app as composition
from worker.config import WorkerConfig
from worker.protocol import node_queue
from worker.watchdog import Watchdog

ENDING_SECONDS = 3


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
        config = WorkerConfig.from_env()
    except (ValueError, OSError) as error:
        sys.exit(f"kijabi node: {error}")
    composition.configure(config)
    runtimes = composition.choose_runtimes(config)
    node = composition.build(config, runtimes, composition.send_report)
    composition.install(node)
    node.start()
    Watchdog(node, redis.Redis.from_url(config.redis_url, socket_timeout=3)).start()
    composition.app.worker_main(
        [
            "worker",
            "--pool=threads",
            "--concurrency=4",
            f"--queues={node_queue(config.node)}",
            f"--hostname={config.node}@kijabi",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=INFO",
        ]
    )
    node.close()
    # Threads that wait on the engine must not hold the process: nothing is lost with them.
    signal.alarm(ENDING_SECONDS)
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
