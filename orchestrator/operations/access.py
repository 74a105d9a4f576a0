"""Who may do what: the one table of roles, for every address of the API and every act on a page."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from orchestrator.operations.accounts import RANK, Role, role_of

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The lowest role that may look at an address, and the lowest that may change it."""

    look: Role = Role.VIEWER
    change: Role = Role.OPERATOR


_USUAL = Access()
_ADMIN = Access(change=Role.ADMIN)
_ONLY_ADMINS = Access(look=Role.ADMIN, change=Role.ADMIN)

# By the name of the address in orchestrator/api/urls.py; what is not here is closed to everybody.
TABLE = {
    "apply": _USUAL,
    "deployments": _USUAL,
    "namespaces": _USUAL,
    "namespace": _USUAL,
    "namespace-deployments": _USUAL,
    "deployment": _USUAL,
    "deployment-manifest": _USUAL,
    "deployment-scale": _USUAL,
    "deployment-rollback": _USUAL,
    "deployment-pause": _USUAL,
    "deployment-resume": _USUAL,
    "deployment-restart": _USUAL,
    "deployment-revisions": _USUAL,
    "deployment-replicas": _USUAL,
    "deployment-events": _USUAL,
    "services": _USUAL,
    "namespace-services": _USUAL,
    "service": _USUAL,
    "service-manifest": _USUAL,
    "ingresses": _USUAL,
    "namespace-ingresses": _USUAL,
    "ingress": _USUAL,
    "ingress-manifest": _USUAL,
    "secrets": _USUAL,
    "namespace-secrets": _USUAL,
    "secret": _USUAL,
    "routes": _USUAL,
    "gateways": _USUAL,
    "autoscalers": _USUAL,
    "namespace-autoscalers": _USUAL,
    "autoscaler": _USUAL,
    "autoscaler-manifest": _USUAL,
    "autoscaler-decisions": _USUAL,
    # It changes nothing.
    "autoscaler-backtest": Access(change=Role.VIEWER),
    "replicas": _USUAL,
    "replica": _USUAL,
    "replica-retry": _USUAL,
    "replica-logs": _USUAL,
    "replica-exec": _USUAL,
    "replica-forward": _USUAL,
    "replica-forward-send": _USUAL,
    "nodes": _USUAL,
    "join-tokens": _ONLY_ADMINS,
    "node-rebalance": _USUAL,
    "node": _ADMIN,
    "node-cordon": _ADMIN,
    "node-uncordon": _ADMIN,
    "node-drain": _ADMIN,
    "node-forget": _ADMIN,
    "metrics": _USUAL,
    "jobs": _USUAL,
    "events": _USUAL,
    "event": _USUAL,
    # Everybody looks after their own tokens; operations/tokens.py keeps to these.
    "tokens": Access(change=Role.VIEWER),
    "token": Access(change=Role.VIEWER),
    "users": _ONLY_ADMINS,
    "user": _ONLY_ADMINS,
    "user-password": _ONLY_ADMINS,
}


def may(user: object, needed: Role) -> bool:
    """Tell whether somebody has a role or a higher one."""
    held = role_of(user) if isinstance(user, User) else None
    return held is not None and RANK[held] >= RANK[needed]


def needed_role(address: str, method: str) -> Role | None:
    """Return the lowest role that may do this; None when nobody may."""
    access = TABLE.get(address)
    if access is None:
        return None
    return access.look if method in SAFE_METHODS else access.change


def why_not(user: object, address: str, method: str = "POST") -> str:
    """Return the sentence that says why somebody may not do this; empty when they may."""
    needed = needed_role(address, method)
    if needed is None:
        return _("this is open to nobody")
    if may(user, needed):
        return ""
    held = role_of(user) if isinstance(user, User) else None
    if held is None:
        return _("this needs the role %(needed)s, and you have none") % {"needed": needed}
    return _("this needs the role %(needed)s, and you are %(held)s") % {
        "needed": needed,
        "held": held,
    }
