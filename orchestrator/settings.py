"""Settings of the control plane, all from the environment; every default is for `manage.py up`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from orchestrator.home import is_on, read_or_create_secret, state_folder
from orchestrator.variables import network, number, port_range

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = state_folder()


def _list(name: str, default: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


SECRET_KEY = os.environ.get("SECRET_KEY") or read_or_create_secret(HOME / "secret-key", 50)
CLUSTER_ID = os.environ.get("KIJABI_CLUSTER") or read_or_create_secret(HOME / "cluster-id", 8)
# Signs what nodes are told. Whoever has it can run anything on every node; a new one needs every
# node to join again.
CONTROL_KEY = os.environ.get("KIJABI_CONTROL_KEY") or read_or_create_secret(
    HOME / "control-key", 32
)
if not re.fullmatch("[0-9a-f]{64}", CONTROL_KEY):
    raise ImproperlyConfigured(
        "KIJABI_CONTROL_KEY is no key: write 64 hexadecimal digits, as `openssl rand -hex 32` does"
    )
# Seals the keys of certificates in the database.
SECRETS_KEY = os.environ.get("KIJABI_SECRETS_KEY") or read_or_create_secret(
    HOME / "secrets-key", 32
)
if not re.fullmatch("[0-9a-f]{64}", SECRETS_KEY):
    raise ImproperlyConfigured(
        "KIJABI_SECRETS_KEY is no key: write 64 hexadecimal digits, as `openssl rand -hex 32` does"
    )
DEBUG = is_on("KIJABI_DEBUG")
HTTPS = is_on("KIJABI_HTTPS")
ALLOWED_HOSTS = _list("ALLOWED_HOSTS", "*")
CSRF_TRUSTED_ORIGINS = _list("CSRF_TRUSTED_ORIGINS", "")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "orchestrator",
    "webui",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "webui.security.ContentSecurityPolicyMiddleware",
]

ROOT_URLCONF = "orchestrator.urls"
ASGI_APPLICATION = "orchestrator.asgi.application"
WSGI_APPLICATION = "orchestrator.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webui.context.frame",
            ],
        },
    },
]

# SQLite: a transaction that reads first and writes later fails at once under WAL unless it begins
# IMMEDIATE; FULL keeps every acknowledged commit across a power cut.
_SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
        "PRAGMA journal_size_limit=67108864;"
    ),
}
_POSTGRESQL_OPTIONS = {"connect_timeout": 3, "application_name": "kijabi"}

DATABASES = {
    "default": dj_database_url.config(
        default=f"sqlite:///{HOME / 'kijabi.sqlite3'}", conn_max_age=60, conn_health_checks=True
    )
}
_database = DATABASES["default"]
_database["OPTIONS"] = {
    **_database.get("OPTIONS", {}),
    **(_SQLITE_OPTIONS if "sqlite" in _database["ENGINE"] else _POSTGRESQL_OPTIONS),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = ["orchestrator.operations.logins.ThrottledBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "webui:login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ko", "한국어")]
# One catalogue for the pages and for the sentences that operations say to people.
LOCALE_PATHS = [BASE_DIR / "webui" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "static/"
STATIC_ROOT = HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "webui.views.frame.csrf_failure"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS
# Whoever watches over the process asks it directly, without TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if is_on("KIJABI_BEHIND_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "orchestrator.api.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["orchestrator.api.permissions.RolePermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "orchestrator.api.pagination.PageNumbers",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "orchestrator.api.errors.problem_response",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Kijabi",
    "DESCRIPTION": "Runs containers on one to a few hundred machines.",
    "VERSION": "v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "orchestrator.api.openapi.complete",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# After how many seconds a node is asked, suspect and lost (core/liveness.py stretches them).
LIVENESS_SECONDS = tuple(
    number(f"KIJABI_{name}_SECONDS", default, least=0.1)
    for name, default in (("PING", 1), ("SUSPECT", 3), ("LOST", 8))
)

# Addresses that services get, by default IPv4 alone; and the ports at which nodes reach what runs
# on others, outside the ephemeral ones of Linux (from 32768) and the node ports (from 30000).
SERVICE_RANGE = network("KIJABI_SERVICE_RANGE", "10.97.0.0/16", version=4)
SERVICE_RANGE6 = network("KIJABI_SERVICE_RANGE6", "", version=6)
RELAY_PORTS = port_range("KIJABI_RELAY_PORTS", "20000-29999")

# After how many failures (0: never) within how many seconds a replica moves to another node, and
# how many seconds it stays there at least before it moves again (ReschedulePolicy in core/spec.py).
RESCHEDULE = tuple(
    number(f"KIJABI_RESCHEDULE_{name}", default)
    for name, default in (("FAILURES", 5), ("WITHIN_SECONDS", 600), ("APART_SECONDS", 600))
)

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
# The broker's address as other machines reach it, when it is not REDIS_URL's.
NODE_BROKER = os.environ.get("KIJABI_NODE_BROKER", "")
# Give nodes our own login at a broker at which we cannot make them one.
SHARED_BROKER_LOGIN = is_on("KIJABI_SHARED_BROKER_LOGIN")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("KIJABI_LOG_LEVEL", "INFO")},
}

# Whether /metrics is answered without a token, for scrapers on a closed network.
METRICS_OPEN = is_on("KIJABI_METRICS_OPEN")
