"""ASGI entry point of the web process."""

import os

from django.core.asgi import get_asgi_application

from orchestrator.api.body_limit import BodyLimit
from orchestrator.manifests.documents import MAX_BYTES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")

_pages = get_asgi_application()

from webui.live import LiveStream  # noqa: E402, reads settings, which Django has set up by now

application = LiveStream(BodyLimit(_pages, most=MAX_BYTES))
