"""Addresses of the API."""

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from orchestrator.api import deployments, errors, logs, openapi, records

# drf-spectacular finds its extensions by their being imported.
EXTENSIONS = (openapi.BearerScheme,)

_IN = "v1/namespaces/<str:namespace>/"
_ONE = f"{_IN}deployments/<str:name>/"

urlpatterns = [
    path("v1/apply/", deployments.Apply.as_view()),
    path("v1/deployments/", deployments.Deployments.as_view()),
    path("v1/namespaces/", records.Namespaces.as_view()),
    path(_IN, records.Namespace.as_view()),
    path(f"{_IN}deployments/", deployments.NamespaceDeployments.as_view()),
    path(_ONE, deployments.Deployment.as_view()),
    path(f"{_ONE}manifest/", deployments.Manifest.as_view()),
    path(f"{_ONE}scale/", deployments.Scale.as_view()),
    path(f"{_ONE}rollback/", deployments.Rollback.as_view()),
    path(f"{_ONE}pause/", deployments.Pause.as_view()),
    path(f"{_ONE}resume/", deployments.Resume.as_view()),
    path(f"{_ONE}restart/", deployments.Restart.as_view()),
    path(f"{_ONE}revisions/", deployments.Revisions.as_view()),
    path(f"{_ONE}replicas/", records.Replicas.as_view()),
    path(f"{_ONE}events/", records.Events.as_view()),
    path("v1/replicas/", records.Replicas.as_view()),
    path("v1/replicas/<str:uid>/", records.Replica.as_view()),
    path("v1/replicas/<str:uid>/retry/", records.Retry.as_view()),
    path("v1/replicas/<str:uid>/logs/", logs.logs),
    path("v1/nodes/", records.Nodes.as_view()),
    path("v1/nodes/<str:name>/", records.Node.as_view()),
    path("v1/nodes/<str:name>/cordon/", records.Cordon.as_view()),
    path("v1/nodes/<str:name>/uncordon/", records.Uncordon.as_view()),
    path("v1/jobs/", records.Jobs.as_view()),
    path("v1/events/", records.Events.as_view()),
    path("v1/events/<int:pk>/", records.Event.as_view()),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    re_path(r"^.*$", errors.not_found),
]
