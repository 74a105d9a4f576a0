"""Make a state folder ready: tables, static files, the first login and its token file."""

from __future__ import annotations

import fcntl
import json
import os
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from redis.exceptions import RedisError

from orchestrator.operations import broker_users, joining, namespaces, users
from orchestrator.operations.broker_users import BrokerAway, NoOwnLogins
from orchestrator.operations.events import SYSTEM, Change

TOKEN_FILE = "admin-token"  # noqa: S105, a file's name


class Command(BaseCommand):
    """Run at every start; does only what is still missing."""

    help = "Migrate, collect static files, make the first login. Safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add `--json`, `--node` and `--node-home`."""
        parser.add_argument("--json", action="store_true", help="print one line of JSON")
        parser.add_argument("--node", default="", help="a node of this machine to make known")
        parser.add_argument(
            "--node-home", type=Path, default=settings.HOME, help="where its identity is written"
        )

    def handle(self, **options: object) -> None:
        """Prepare everything and say what the first login is."""
        with _alone(settings.HOME):
            self._prepare(options)

    def _prepare(self, options: Mapping[str, object]) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        call_command("collectstatic", verbosity=0, interactive=False)
        path = settings.HOME / TOKEN_FILE
        now = timezone.now()
        namespaces.ensure(namespaces.DEFAULT, Change(actor=SYSTEM, now=now))
        first = users.ensure_first_login(now=now, needs_token=not path.exists())
        if first.token is not None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(first.token + "\n")
        if options["node"]:
            _enrol(str(options["node"]), Path(str(options["node_home"])), now)
        answer = {"user": first.user, "password": first.password, "token_file": str(path)}
        if options["json"]:
            self.stdout.write(json.dumps(answer))
        else:
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in answer.items()))


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let nodes that start at once prepare one after the other: files are swept and written."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _enrol(node: str, home: Path, now: datetime) -> None:
    try:
        joining.enrol_here(node, home, now=now)
        # A later release may give nodes other rights; and a broker begun anew knows nobody.
        broker_users.restore(everybody=True)
    except (joining.CannotJoin, BrokerAway, NoOwnLogins, RedisError) as error:
        raise CommandError(f"node {node} cannot be made known: {error}") from error
