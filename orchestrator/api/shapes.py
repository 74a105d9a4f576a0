"""What the API's bodies look like: read models to JSON, and their description for OpenAPI."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.fields import (
    BooleanField,
    CharField,
    DateTimeField,
    DictField,
    IntegerField,
    JSONField,
    ListField,
)


class StatusShape(serializers.Serializer[Any]):
    """How a deployment does."""

    phase = CharField()
    message = CharField()
    replicas = IntegerField()
    ready = IntegerField()
    available = IntegerField()
    updated = IntegerField()
    revision = IntegerField()


class DeploymentShape(serializers.Serializer[Any]):
    """A deployment."""

    namespace = CharField()
    name = CharField()
    generation = IntegerField()
    observed_generation = IntegerField()
    labels = DictField(child=CharField())
    spec = JSONField()
    status = StatusShape(source="*")
    paused = BooleanField()
    deleting = BooleanField()
    created_at = DateTimeField()
    changed_at = DateTimeField()


class RevisionShape(serializers.Serializer[Any]):
    """A revision."""

    number = IntegerField()
    image = CharField()
    author = CharField()
    reason = CharField()
    is_rollback = BooleanField()
    current = BooleanField()
    desired = IntegerField()
    created_at = DateTimeField()
    completed_at = DateTimeField(allow_null=True)
    failed_at = DateTimeField(allow_null=True)
    template = JSONField()
    diff = CharField()


class ReplicaShape(serializers.Serializer[Any]):
    """A replica."""

    uid = CharField()
    namespace = CharField(source="deployment.namespace_id")
    deployment = CharField(source="deployment.name")
    revision = IntegerField(source="revision.number")
    slot = IntegerField()
    node = CharField(source="node_id", allow_null=True)
    phase = CharField()
    ready = BooleanField()
    reason = CharField()
    message = CharField()
    waiting = CharField()
    note = CharField()
    restarts = IntegerField()
    next_try_at = DateTimeField(allow_null=True)
    address = CharField()
    ports = ListField(child=ListField(child=IntegerField()))
    container_id = CharField()
    exit_code = IntegerField(allow_null=True)
    oom_killed = BooleanField()
    died_at = DateTimeField(allow_null=True)
    created_at = DateTimeField()
    started_at = DateTimeField(allow_null=True)
    finished_at = DateTimeField(allow_null=True)


class NodeShape(serializers.Serializer[Any]):
    """A node."""

    name = CharField()
    state = CharField()
    cordoned = BooleanField()
    labels = DictField(child=CharField())
    runtimes = ListField(child=CharField())
    notes = ListField(child=CharField())
    strangers = ListField(child=CharField())
    cpu_millis = IntegerField()
    memory_bytes = IntegerField()
    replicas = IntegerField(source="carried")
    release = CharField()
    joined_at = DateTimeField()
    seen_at = DateTimeField()


class JobShape(serializers.Serializer[Any]):
    """A job."""

    uid = CharField()
    operation = CharField()
    node = CharField(source="node_id")
    namespace = CharField()
    deployment = CharField()
    replica = CharField(source="replica_uid")
    state = CharField()
    attempts = IntegerField()
    reason = CharField()
    message = CharField()
    created_at = DateTimeField()
    sent_at = DateTimeField(allow_null=True)
    accepted_at = DateTimeField(allow_null=True)
    finished_at = DateTimeField(allow_null=True)


class EventShape(serializers.Serializer[Any]):
    """An event; `cause` is the id of the event that caused it."""

    id = IntegerField()
    at = DateTimeField()
    reason = CharField()
    message = CharField()
    severity = CharField()
    actor = CharField()
    namespace = CharField()
    deployment = CharField()
    revision = IntegerField(allow_null=True)
    replica = CharField()
    node = CharField()
    cause = IntegerField(source="cause_id", allow_null=True)


class EventChainShape(serializers.Serializer[Any]):
    """An event and what caused it, the nearest first."""

    event = EventShape()
    causes = EventShape(many=True)


class SavedShape(serializers.Serializer[Any]):
    """What was done to one object."""

    kind = CharField()
    namespace = CharField()
    name = CharField()
    action = CharField()
    generation = IntegerField()
    diff = CharField()


class NamespaceShape(serializers.Serializer[Any]):
    """A namespace."""

    name = CharField()
    deleting = BooleanField(read_only=True)
    created_at = DateTimeField(read_only=True)


class ScaleShape(serializers.Serializer[Any]):
    """How many replicas are wanted."""

    replicas = IntegerField(min_value=0, max_value=5000)


class ReasonShape(serializers.Serializer[Any]):
    """Why, in somebody's words."""

    reason = CharField(required=False, allow_blank=True, max_length=1000)


class RollbackShape(ReasonShape):
    """Which revision to go back to; by default the latest that completed."""

    revision = IntegerField(required=False, min_value=1)


class ResultsShape(serializers.Serializer[Any]):
    """What was done to each object."""

    results = SavedShape(many=True)
