"""ASGI entry point of the web process."""

import os

from django.core.asgi import get_asgi_application

from orchestrator.api.body_limit import BodyLimit
from orchestrator.manifests.documents import MAX_BYTES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

application = BodyLimit(get_asgi_application(), most=MAX_BYTES)
