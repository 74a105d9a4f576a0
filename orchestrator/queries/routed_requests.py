"""The requests of replicas now, all gateways together, for those who scale by them.

A replica that an Ingress leads to has a value as soon as any gateway counts: none is zero. One that
none leads to has no value, whatever comes to it by other ways: nobody counts that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.core import requests
from orchestrator.core.autoscaling.observation import NO_GATEWAY, NO_ROUTE, Sample
from orchestrator.core.autoscaling.policy import Source
from orchestrator.core.requests import Load
from orchestrator.models import IngressPath, Replica, Service
from orchestrator.queries import endpoints
from orchestrator.queries.looks import WINDOW, Looks

NOTHING = {requests.PART: requests.part({}, {})}
SOURCES = tuple(source for source in Source if not source.is_resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What gateways counted: `at` is when one last spoke, None when none did; loads by uid."""

    at: datetime | None = None
    loads: Mapping[str, Load] = field(default_factory=dict)

    def of(self, uid: str) -> dict[Source, Sample]:
        """Return the values of one replica, none where nobody counts its requests."""
        load = self.loads.get(uid)
        if load is None or self.at is None:
            return {}
        values = {
            Source.REQUESTS_PER_SECOND: load.per_second_millis,
            Source.REQUESTS_IN_FLIGHT: load.in_flight_millis,
        }
        return {
            source: Sample(value=value, at=self.at, window=WINDOW)
            for source, value in values.items()
        }

    def silent(self, uids: Sequence[str]) -> dict[Source, str]:
        """Return why the requests of some replicas are not known at all."""
        if self.at is None:
            return dict.fromkeys(SOURCES, NO_GATEWAY)
        if uids and not any(uid in self.loads for uid in uids):
            return dict.fromkeys(SOURCES, NO_ROUTE)
        return {}


NOBODY_ASKED = Routed()


def latest(replicas: Sequence[Replica], looks: Looks) -> Routed:
    """Return the requests of replicas over the latest seconds (at most 3 queries)."""
    if looks.counted_at is None:
        return Routed()
    counted: dict[str, list[requests.Part]] = defaultdict(list)
    for node, _, block in looks.blocks:
        if requests.is_counted(block):
            counted[node].append(block)
    loads = dict.fromkeys(_reached(replicas), Load())
    for node, blocks in counted.items():
        # Where a look does not speak of who is asked nothing came.
        nothing = [NOTHING] * (looks.gateways[node] - len(blocks))
        kept = {requests.PART: requests.thinned([*blocks, *nothing])}
        for uid, (_, load) in requests.replicas_of(kept).items():
            if uid in loads:
                loads[uid] += load
    return Routed(at=looks.counted_at, loads=loads)


def _reached(replicas: Sequence[Replica]) -> set[str]:
    """Return the replicas that an Ingress leads to."""
    paths = IngressPath.objects.values_list("ingress__namespace_id", "service").distinct()
    named = {(str(namespace), service) for namespace, service in paths}
    services = [
        row
        for row in Service.objects.filter(name__in={name for _, name in named})
        if (str(row.namespace_id), row.name) in named
    ]
    found = endpoints.candidates(services) if services else {}
    wanted = {replica.uid for replica in replicas}
    return wanted & {one.uid for candidates in found.values() for one in candidates}
