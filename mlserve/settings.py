"""Django settings, grouped by feature. Everything that differs between machines comes from the environment.

Safe by default: without variables nothing starts, because SECRET_KEY is missing; `DEBUG=1` is for a laptop.
docs/settings.md explains the variables to operators; this module gives the reason for each default.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

from mlserve.conf.database import database
from mlserve.conf.env import Env
from mlserve.conf.library_settings import *  # noqa: F403 - all of it are settings
from mlserve.conf.parameters import resolved

env = Env(resolved(os.environ))
BASE_DIR = Path(__file__).resolve().parent.parent
ON_LAMBDA = bool(env.text("AWS_LAMBDA_FUNCTION_NAME"))
# The data of a single machine: SQLite's file, artifacts without a bucket, caches, collected static files. A function on
# Lambda may write to /tmp only.
_VAR_DIR = Path("/tmp/mlserve") if ON_LAMBDA else BASE_DIR / "var"  # noqa: S108
VAR_DIR = env.folder("MLSERVE_DATA_DIR", _VAR_DIR, project=BASE_DIR)

# --- Security ----------------------------------------------------------------------------------------------
ON_LAPTOP = env.flag("DEBUG", default=False)
# Django's own DEBUG stays off everywhere: it shows tracebacks to every client, and stores every SQL statement. Errors
# are logged with their traceback.
DEBUG = False
SECRET_KEY = env.secret(
    "SECRET_KEY",
    default="a-laptop-needs-no-secret-but-django-wants-one" if ON_LAPTOP else None,
    how_to_make="Set it to 50 or more random characters: "
    "python -c 'import secrets; print(secrets.token_urlsafe(50))'. On a laptop, `make serve` does it.",
)
# Earlier keys, separated by commas: what they signed is still accepted, such as sessions and admissions of models.
SECRET_KEY_FALLBACKS = env.names("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]") if ON_LAPTOP else ())
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
# A laptop has no TLS; everywhere else a proxy ends it and says so in this header.
SECURE_PROXY_SSL_HEADER = None if ON_LAPTOP else ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = not ON_LAPTOP
SESSION_COOKIE_SECURE = not ON_LAPTOP
CSRF_COOKIE_SECURE = not ON_LAPTOP
SECURE_HSTS_SECONDS = 0 if ON_LAPTOP else 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = not ON_LAPTOP
SECURE_HSTS_PRELOAD = not ON_LAPTOP
X_FRAME_OPTIONS = "DENY"

# --- Applications ------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "mlserve",
    "registry",
    "predictions",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "corsheaders",
    "knox",
    "axes",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
]
# The origins of other sites whose pages may use the API, or `*`. A page sends a token if it has one; cookies are never
# accepted from other origins.
MLSERVE_CORS_ORIGINS = env.cors_origins("MLSERVE_CORS_ORIGINS")
_FIRST = [
    *(["corsheaders.middleware.CorsMiddleware"] if MLSERVE_CORS_ORIGINS else []),
    "mlserve.http.problems.PlainHttpMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "mlserve.http.compression.CompressedAnswers",
]
MIDDLEWARE = [
    *_FIRST,
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "mlserve.http.browser_headers.BrowserHeadersMiddleware",
    "mlserve.http.problems.ProblemMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Throttles requests with a body before it is read.
    "mlserve.access.throttling.FormThrottleMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # The last one: it replaces the answer to a locked-out caller.
    "axes.middleware.AxesMiddleware",
]
# Below it errors are problem details; elsewhere they are pages.
MLSERVE_API_PREFIX = "/api/"
# For requests of the API that no browser sent (mlserve/http/handlers.py).
MLSERVE_API_MIDDLEWARE = [*_FIRST, "mlserve.http.problems.ProblemMiddleware"]
# For probes, whose Host is an address of this machine: nothing that reads it. Staff may read /metrics by their session.
MLSERVE_PROBE_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "mlserve.http.problems.ProblemMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
CORS_ALLOW_ALL_ORIGINS = MLSERVE_CORS_ORIGINS == ["*"]
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else MLSERVE_CORS_ORIGINS
CORS_URLS_REGEX = f"^{MLSERVE_API_PREFIX}"
ROOT_URLCONF = "mlserve.urls"
WSGI_APPLICATION = "mlserve.wsgi.application"
APPEND_SLASH = False
# Where the root of the host is not the service's, as behind API Gateway, whose addresses begin with the stage.
FORCE_SCRIPT_NAME = env.base_path("MLSERVE_BASE_PATH") or None
# Probes come from inside, without TLS and without the header.
SECURE_REDIRECT_EXEMPT = [rf"^{re.escape((FORCE_SCRIPT_NAME or '')[1:])}/?(healthz|readyz|metrics)$"]
# A browser accepts a cookie of such a name only over TLS and, with __Host-, from this very host. Below a base path
# another service may run on the same host; there the path distinguishes its cookies from ours.
_COOKIE = "" if ON_LAPTOP else "__Secure-" if FORCE_SCRIPT_NAME else "__Host-"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{_COOKIE}sessionid", f"{_COOKIE}csrftoken"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = FORCE_SCRIPT_NAME or "/"
# On a server a session ends within a day; a laptop has one user.
SESSION_COOKIE_AGE = (14 * 24 if ON_LAPTOP else 12) * 3600
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "mlserve.times"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"
CSRF_FAILURE_VIEW = "mlserve.http.problems.csrf_failure"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Callers -----------------------------------------------------------------------------------------------
# The number of proxies in front, each of which adds to X-Forwarded-For; 0: the connection's own address counts. With
# one too many, callers choose their address themselves; with one too few, all of them have the proxy's.
MLSERVE_TRUSTED_PROXIES = env.number("MLSERVE_TRUSTED_PROXIES", default=0, at_least=0, at_most=10)
# A hundred requests a second for an account; an address without one can poll some predictions at a time. A laptop's
# only caller is its owner.
MLSERVE_RATE_TOKEN = env.rate("MLSERVE_RATE_TOKEN", default="" if ON_LAPTOP else "6000/min")
MLSERVE_RATE_ADDRESS = env.rate("MLSERVE_RATE_ADDRESS", default="" if ON_LAPTOP else "300/min")
# The lifetime of a new token unless another one is asked for.
MLSERVE_TOKEN_DAYS = env.number("MLSERVE_TOKEN_DAYS", default=90, at_least=1, at_most=365)
# Wrong passwords for one name from one address, after which it is locked for a quarter of an hour.
AXES_FAILURE_LIMIT = env.number("MLSERVE_SIGN_IN_FAILURES", default=10, at_least=1)

# --- Database ----------------------------------------------------------------------------------------------
DATABASES = {"default": database(env, data_folder=VAR_DIR, project=BASE_DIR)}

# --- Files -------------------------------------------------------------------------------------------------
MLSERVE_BUCKET = env.text("MLSERVE_BUCKET")
_LOCAL_ARTIFACTS = {
    "BACKEND": "registry.storage.disk.AtomicFileSystemStorage",
    "OPTIONS": {"location": str(VAR_DIR / "artifacts")},
}
# Sent to S3 with every object; `none` for S3-compatible storage that cannot encrypt.
_BUCKET_ENCRYPTION = env.choice("MLSERVE_BUCKET_ENCRYPTION", ("AES256", "aws:kms", "none"), default="AES256")
_S3_ARTIFACTS = {
    "BACKEND": "registry.storage.s3.S3ArtifactStorage",
    "OPTIONS": {
        "bucket_name": MLSERVE_BUCKET,
        "default_acl": None,
        "file_overwrite": True,
        "object_parameters": {} if _BUCKET_ENCRYPTION == "none" else {"ServerSideEncryption": _BUCKET_ENCRYPTION},
    },
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if ON_LAPTOP
        else "mlserve.server.static_files.StaticFiles"
    },
    "artifacts": _S3_ARTIFACTS if MLSERVE_BUCKET else _LOCAL_ARTIFACTS,
}
# Copies of artifacts from the bucket, on the disk of the process that loads them.
MLSERVE_CACHE_DIR = env.folder("MLSERVE_CACHE_DIR", VAR_DIR / "cache", project=BASE_DIR)
# A function's /tmp has half a gibibyte by default.
MLSERVE_CACHE_BYTES = env.size_bytes("MLSERVE_CACHE_BYTES", default=400 * 2**20 if ON_LAMBDA else 10 * 2**30)
# From the host's root, or the first request that reads it would determine its prefix.
STATIC_URL = f"{FORCE_SCRIPT_NAME or ''}/static/"
# Lambda's package and the image for servers contain them, collected.
COLLECTED = BASE_DIR / "collected"
STATIC_ROOT = COLLECTED if ON_LAMBDA or (COLLECTED / "staticfiles.json").is_file() else VAR_DIR / "static"
if ON_LAPTOP:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # whitenoise warns at each start where it is absent
STATICFILES_DIRS = [BASE_DIR / "static"]
# `make serve` needs no collectstatic.
WHITENOISE_USE_FINDERS = ON_LAPTOP
WHITENOISE_AUTOREFRESH = False
# Pages name files by their digest; a second copy of each would only fill Lambda's package.
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

# --- Registry ----------------------------------------------------------------------------------------------
MLSERVE_NEW_MODELS = env.choice("MLSERVE_NEW_MODELS", ("private", "public"), default="private")
MLSERVE_MAX_ARTIFACT_BYTES = env.size_bytes("MLSERVE_MAX_ARTIFACT_BYTES", default=2**30)
# The operator's own modules whose classes and functions artifacts may use (package.module), or exact names of libraries
# (package.module:Name). What scikit-learn, numpy and pandas need is trusted without it.
MLSERVE_TRUSTED_MODULES = env.names("MLSERVE_TRUSTED_MODULES")
# A fitted pipeline loads in seconds; a minute is for large forests on slow disks.
MLSERVE_INSPECTION_SECONDS = env.number("MLSERVE_INSPECTION_SECONDS", default=120, at_least=5)
# Address space, of which numpy's libraries reserve several times what they use.
MLSERVE_INSPECTION_BYTES = env.size_bytes("MLSERVE_INSPECTION_BYTES", default=8 * 2**30, at_least=2**30)

# --- Predictions -------------------------------------------------------------------------------------------
# A function receives at most 6 MiB, of which API Gateway's base64 leaves 4.5.
MLSERVE_MAX_BODY_BYTES = env.size_bytes("MLSERVE_MAX_BODY_BYTES", default=(4 if ON_LAMBDA else 5) * 2**20)
DATA_UPLOAD_MAX_MEMORY_SIZE = MLSERVE_MAX_BODY_BYTES
# Files do not count towards it. Only callers who may upload can send them, up to the size of an artifact.
FILE_UPLOAD_HANDLERS = [
    "registry.uploads.upload_handler.FilesOfUploaders",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "registry.uploads.upload_handler.NamelessFiles",
]
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000  # one field per column of a form page
MLSERVE_MAX_ROWS = env.number("MLSERVE_MAX_ROWS", default=50_000, at_least=1)
# API Gateway ends a request after 29 s; proxies often after 30.
MLSERVE_MAX_WAIT = env.number("MLSERVE_MAX_WAIT", default=25, at_least=0, at_most=600)
# Each waiting request holds a thread of its web process, and each thread a database connection, of which PostgreSQL
# allows 100 by default. A quarter of the threads is reserved for requests that do not wait.
_WEB_THREADS = 64 if DATABASES["default"]["ENGINE"].endswith("sqlite3") else 32
MLSERVE_WEB_THREADS = env.number("MLSERVE_WEB_THREADS", default=_WEB_THREADS, at_least=4, at_most=1024)
# Of several requests together: a call costs about the same for 1 row and for some hundred; beyond that only latency
# grows.
MLSERVE_BATCH_ROWS = env.number("MLSERVE_BATCH_ROWS", default=512, at_least=1)
# Of one request with many rows, in which nobody else waits for a share: a call of 512 rows takes 5 to 50 ms and one of
# 10,000 only 17 to 150. More saves little, and a step that makes dense columns of categories may need 100 MB for these.
MLSERVE_CALL_ROWS = env.number("MLSERVE_CALL_ROWS", default=10_000, at_least=1)
# The longest that one batch may take before its worker is replaced.
MLSERVE_BATCH_SECONDS = env.number("MLSERVE_BATCH_SECONDS", default=60, at_least=1)
MLSERVE_MAX_ATTEMPTS = env.number("MLSERVE_MAX_ATTEMPTS", default=3, at_least=1)
# A prediction that is queued for longer ends as `expired`: its caller will not read an answer that late.
MLSERVE_QUEUE_SECONDS = env.number("MLSERVE_QUEUE_SECONDS", default=24 * 3600, at_least=10)
MLSERVE_RETENTION_DAYS = env.number("MLSERVE_RETENTION_DAYS", default=30, at_least=1)
# Inputs and results above this size are stored as objects. Rows of a few kilobytes keep the table in memory.
MLSERVE_ROW_BYTES = env.size_bytes("MLSERVE_ROW_BYTES", default=256 * 2**10)
# The web process itself predicts for waiting callers, so that their requests share calls. Only workers load an artifact
# above this size; 0 leaves all predictions to them. A function on Lambda has one caller at a time, so no calls can be
# shared, and without scikit-learn it starts in a fraction of the time.
MLSERVE_IN_PLACE_BYTES = env.size_bytes("MLSERVE_IN_PLACE_BYTES", default=0 if ON_LAMBDA else 256 * 2**20, at_least=0)
MLSERVE_MODEL_CACHE_BYTES = env.size_bytes("MLSERVE_MODEL_CACHE_BYTES", default=2 * 2**30)
# A process that predicts is replaced between two tasks once it has grown beyond this, because pipelines may leak.
MLSERVE_PROCESS_BYTES = env.size_bytes(
    "MLSERVE_PROCESS_BYTES", default=MLSERVE_MODEL_CACHE_BYTES + 2 * 2**30, at_least=2**28
)
# Whether a caller without an account may list the predictions that were made without one. Their ids are the only access
# control that they have, so only a laptop, whose only caller is its owner, shows them.
MLSERVE_ANONYMOUS_HISTORY = env.flag("MLSERVE_ANONYMOUS_HISTORY", default=ON_LAPTOP)

# --- Queue -------------------------------------------------------------------------------------------------
# The database carries wake-ups between processes of one machine; SQS or Redis between machines and functions.
MLSERVE_QUEUE, _REDIS_URL = env.queue("MLSERVE_QUEUE")
_BROKERS: dict[str, dict[str, Any]] = {
    "orm": {"broker_class": "predictions.queue.brokers.LocalSocketOrmBroker", "orm": "default"},
    # Region, address and credentials come from the usual AWS variables.
    "sqs": {"broker_class": "predictions.queue.brokers.SqsBroker", "sqs": {"receive_message_wait_time_seconds": 20}},
    "redis": {"broker_class": "predictions.queue.brokers.RedisBroker", "redis": _REDIS_URL},
}
# A worker listens for further wake-ups this long, then ends its task; django-q2 gives it the next task at once.
MLSERVE_DRAIN_SECONDS = 5
MLSERVE_WORKERS = env.number("MLSERVE_WORKERS", default=min(2, os.cpu_count() or 1), at_least=1, at_most=256)
_TASK_SECONDS = MLSERVE_DRAIN_SECONDS + MLSERVE_BATCH_SECONDS
Q_CLUSTER: dict[str, Any] = {
    "name": env.text("MLSERVE_QUEUE_NAME") or "mlserve",
    **_BROKERS[MLSERVE_QUEUE],
    "poll": 0.2,
    "workers": MLSERVE_WORKERS,
    "timeout": _TASK_SECONDS,
    # Must exceed the timeout, or django-q2 hands a running task out again.
    "retry": _TASK_SECONDS + 30,
    # A failed wake-up need not be repeated: the sweep sends another one.
    "max_attempts": 1,
    "ack_failures": True,
    # django-q2's own record of tasks is not used; a positive limit would lock all saved rows at each save.
    "save_limit": -1,
    "recycle": 5000,
    "max_rss": MLSERVE_PROCESS_BYTES // (1 if sys.platform == "darwin" else 1024),  # in the system's own unit
    "catch_up": False,
    "label": "Queue",
    "log_level": "WARNING",
}

# --- Metrics -----------------------------------------------------------------------------------------------
# A scraper of /metrics sends it as `Authorization: Bearer`. Unset, only staff may read it, and on a laptop everyone.
MLSERVE_METRICS_TOKEN = env.text("MLSERVE_METRICS_TOKEN")

# Both need packages beside requirements.txt; docs/operations.md says which, and what is sent to them.
SENTRY_DSN = env.text("SENTRY_DSN")
OTEL_EXPORTER_OTLP_ENDPOINT = env.text("OTEL_EXPORTER_OTLP_ENDPOINT")

# --- Logs --------------------------------------------------------------------------------------------------
# Programs read the log of a server; people read that of a laptop, and that of a command in their terminal.
_FOR_PEOPLE = ON_LAPTOP or (sys.stderr is not None and sys.stderr.isatty())
MLSERVE_LOG_FORMAT = env.choice("MLSERVE_LOG_FORMAT", ("json", "text"), default="text" if _FOR_PEOPLE else "json")
# A line for each request and each batch.
MLSERVE_ACCESS_LOG = env.flag("MLSERVE_ACCESS_LOG", default=not ON_LAPTOP)
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "mlserve.observability.log_lines.JsonLines", "quotes_values": ON_LAPTOP},
        "text": {"()": "mlserve.observability.log_lines.TextLines", "quotes_values": ON_LAPTOP},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": MLSERVE_LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": env.choice("MLSERVE_LOG_LEVEL", _LOG_LEVELS, default="INFO")},
    "loggers": {
        # Its INFO lines are three per task.
        "django-q": {"level": "WARNING"},
        # Its INFO lines are several per sign-in, most of them without information.
        "axes": {"level": "WARNING"},
        # Its INFO lines say where it found credentials, again for each client.
        "botocore": {"level": "WARNING"},
        # A refused request is the caller's business; the server's own errors stay at ERROR.
        "django.request": {"level": "ERROR"},
        # Every client can send a wrong Host header, any number of times; the access log has a 400 for each.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
