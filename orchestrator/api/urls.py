"""Addresses of the API; permissions.TABLE says for each, by its name, who may use it."""

from typing import Any

from django.urls import URLPattern, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from orchestrator.api import (
    applying,
    autoscalers,
    commands,
    deployments,
    drains,
    errors,
    events,
    forwards,
    jobs,
    joining,
    logs,
    metrics,
    namespaces,
    nodes,
    openapi,
    rebalances,
    replicas,
    routes,
    tokens,
    traffic,
    users,
    verbs,
)

# drf-spectacular finds its extensions by their being imported.
EXTENSIONS = (openapi.BearerScheme,)


def _at(address: str, view: Any, name: str) -> URLPattern:
    as_view = getattr(view, "as_view", None)
    pattern: URLPattern = path(f"v1/{address}", as_view() if as_view else view, name=name)
    return pattern


_IN = "namespaces/<str:namespace>/"
_ONE = f"{_IN}deployments/<str:name>/"
_SCALER = f"{_IN}autoscalers/<str:name>/"

urlpatterns = [
    _at("apply/", applying.Apply, "apply"),
    _at("deployments/", deployments.Deployments, "deployments"),
    _at("namespaces/", namespaces.Namespaces, "namespaces"),
    _at(_IN, namespaces.Namespace, "namespace"),
    _at(f"{_IN}deployments/", deployments.NamespaceDeployments, "namespace-deployments"),
    _at(_ONE, deployments.Deployment, "deployment"),
    _at(f"{_ONE}manifest/", deployments.Manifest, "deployment-manifest"),
    _at(f"{_ONE}scale/", verbs.Scale, "deployment-scale"),
    _at(f"{_ONE}rollback/", verbs.Rollback, "deployment-rollback"),
    _at(f"{_ONE}pause/", verbs.Pause, "deployment-pause"),
    _at(f"{_ONE}resume/", verbs.Resume, "deployment-resume"),
    _at(f"{_ONE}restart/", verbs.Restart, "deployment-restart"),
    _at(f"{_ONE}revisions/", deployments.Revisions, "deployment-revisions"),
    _at(f"{_ONE}replicas/", replicas.DeploymentReplicas, "deployment-replicas"),
    _at(f"{_ONE}events/", events.DeploymentEvents, "deployment-events"),
    _at("services/", traffic.Services, "services"),
    _at(f"{_IN}services/", traffic.NamespaceServices, "namespace-services"),
    _at(f"{_IN}services/<str:name>/", traffic.Service, "service"),
    _at(f"{_IN}services/<str:name>/manifest/", traffic.ServiceManifest, "service-manifest"),
    _at("ingresses/", traffic.Ingresses, "ingresses"),
    _at(f"{_IN}ingresses/", traffic.NamespaceIngresses, "namespace-ingresses"),
    _at(f"{_IN}ingresses/<str:name>/", traffic.Ingress, "ingress"),
    _at(f"{_IN}ingresses/<str:name>/manifest/", traffic.IngressManifest, "ingress-manifest"),
    _at("secrets/", traffic.Secrets, "secrets"),
    _at(f"{_IN}secrets/", traffic.NamespaceSecrets, "namespace-secrets"),
    _at(f"{_IN}secrets/<str:name>/", traffic.Secret, "secret"),
    _at("routes/", routes.Routes, "routes"),
    _at("gateways/", routes.Gateways, "gateways"),
    _at("autoscalers/", autoscalers.Autoscalers, "autoscalers"),
    _at(f"{_IN}autoscalers/", autoscalers.NamespaceAutoscalers, "namespace-autoscalers"),
    _at(_SCALER, autoscalers.Autoscaler, "autoscaler"),
    _at(f"{_SCALER}manifest/", autoscalers.Manifest, "autoscaler-manifest"),
    _at(f"{_SCALER}backtest/", autoscalers.Backtest, "autoscaler-backtest"),
    _at(f"{_SCALER}decisions/", autoscalers.Decisions, "autoscaler-decisions"),
    _at("replicas/", replicas.Replicas, "replicas"),
    _at("replicas/<str:uid>/", replicas.Replica, "replica"),
    _at("replicas/<str:uid>/retry/", replicas.Retry, "replica-retry"),
    _at("replicas/<str:uid>/logs/", logs.logs, "replica-logs"),
    _at("replicas/<str:uid>/exec/", commands.execute, "replica-exec"),
    _at("replicas/<str:uid>/forward/", forwards.forward, "replica-forward"),
    _at("replicas/<str:uid>/forward/send/", forwards.send, "replica-forward-send"),
    _at("nodes/", nodes.Nodes, "nodes"),
    _at("nodes/join-tokens/", joining.JoinTokens, "join-tokens"),
    _at("nodes/join/", joining.Join, "node-join"),
    _at("nodes/rebalance/", rebalances.Rebalance, "node-rebalance"),
    _at("nodes/<str:name>/", nodes.Node, "node"),
    _at("nodes/<str:name>/cordon/", nodes.Cordon, "node-cordon"),
    _at("nodes/<str:name>/uncordon/", nodes.Uncordon, "node-uncordon"),
    _at("nodes/<str:name>/forget/", nodes.Forget, "node-forget"),
    _at("nodes/<str:name>/drain/", drains.Drain, "node-drain"),
    _at("metrics/", metrics.Metrics, "metrics"),
    _at("jobs/", jobs.Jobs, "jobs"),
    _at("events/", events.Events, "events"),
    _at("events/<int:pk>/", events.Event, "event"),
    _at("tokens/", tokens.Tokens, "tokens"),
    _at("tokens/<int:pk>/", tokens.Token, "token"),
    _at("users/", users.Users, "users"),
    _at("users/<str:name>/", users.User, "user"),
    _at("users/<str:name>/password/", users.Password, "user-password"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    re_path(r"^.*$", errors.not_found),
]
