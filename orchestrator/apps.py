"""The Django app of the control plane."""

from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    """Stores and steers deployments."""

    name = "orchestrator"
    default_auto_field = "django.db.models.BigAutoField"
