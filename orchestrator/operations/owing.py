"""Note that a deployment is owed a pass, and because of which event."""

from __future__ import annotations

from django.db import transaction

from orchestrator.models import Deployment, Event
from orchestrator.operations import announce, dispatch


def owe_a_pass(deployment: Deployment, event: Event) -> None:
    """Save the event and the locked row; the nudge leaves when that is committed."""
    event.save()
    deployment.cause = event
    deployment.settled = False
    deployment.save()
    pk = deployment.pk
    transaction.on_commit(lambda: dispatch.nudge(pk))
    announce.changed(announce.deployment_topic(deployment.namespace_id, deployment.name))
