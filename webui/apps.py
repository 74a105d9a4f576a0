"""The dashboard's Django app: templates, styles and views, no tables of its own."""

from django.apps import AppConfig


class WebUiConfig(AppConfig):
    """Server-rendered pages for people."""

    name = "webui"
