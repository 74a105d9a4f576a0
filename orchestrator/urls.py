"""Where every address leads: the API, its documentation, health, and the dashboard."""

from django.contrib import admin
from django.urls import include, path

from orchestrator.api import health, prometheus

urlpatterns = [
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", prometheus.Exposition.as_view(), name="prometheus"),
    path("api/", include("orchestrator.api.urls")),
    path("admin/", admin.site.urls),
    path("", include("webui.urls")),
]
