"""The running system the browser visits, and the ways to look at it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.stack import Stack

MANIFEST = Path(__file__).parent / "deployments.yaml"
PASSWORD = "correct horse battery"
# Run by `manage.py shell`: makes a user of every role and prints a session of each.
PEOPLE = f"""
import json
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore

sessions = {{}}
for role in ("viewer", "operator", "admin"):
    person = User.objects.create_user(f"the-{{role}}", password={PASSWORD!r})
    person.groups.add(Group.objects.get(name=role))
    session = SessionStore()
    session[SESSION_KEY] = str(person.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    session.create()
    sessions[role] = session.session_key
print(json.dumps(sessions))
"""


@dataclass(frozen=True)
class Look:
    """How somebody sees the pages; without a role: not logged in."""

    role: str = "admin"
    scheme: str = "light"
    width: int = 1180
    scripts: bool = True

    def __str__(self) -> str:
        words = [self.role or "anybody", self.scheme, str(self.width)]
        return "-".join([*words, *([] if self.scripts else ["no-scripts"])])


@dataclass(frozen=True)
class Site:
    """A running control plane with a node, a session for each role, and ids to look up."""

    stack: Stack
    sessions: dict[str, str]
    ids: dict[str, str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.stack.port}"

    def url(self, path: str) -> str:
        return self.address + path.format(**self.ids)


def furnish(stack: Stack) -> Site:
    """Bring about people and a deployment in each state that people meet."""
    said = stack.run("shell", "-c", PEOPLE)
    sessions = json.loads(said.strip().splitlines()[-1])
    text = MANIFEST.read_text()
    stack.run("apply", "-f", "-", text=text)
    stack.wait_for(lambda: len(stack.ready()) >= 4)
    stack.run("apply", "-f", "-", text=text.replace("version 1", "version 2"))
    stack.wait_for(lambda: _is_settled(stack))
    return Site(stack, sessions, _ids(stack))


def _is_settled(stack: Stack) -> bool:
    """Version 2 of web runs alone, and a crash has been seen."""
    rows = [(row["deployment"], row) for row in stack.replicas()]
    web = [row["revision"] for name, row in rows if name == "web" and row["ready"]]
    return web == [2, 2] and any(row["restarts"] for name, row in rows if name == "crashing")


def _ids(stack: Stack) -> dict[str, str]:
    return {
        "replica": next(row["uid"] for row in stack.ready() if row["deployment"] == "web"),
        "job": str(stack.api("jobs/")["results"][0]["uid"]),
        "event": str(stack.api("events/")["results"][0]["id"]),
        "ingress": "front",
    }
