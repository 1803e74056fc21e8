"""Settings of libraries that are the same everywhere; `settings.py` imports all of them."""

from datetime import timedelta

# --- Tokens: django-rest-knox ---
KNOX_TOKEN_MODEL = "mlserve.ApiToken"  # noqa: S105 - the name of a table's class
REST_KNOX = {"TOKEN_PREFIX": "mls_", "AUTH_HEADER_PREFIX": "Bearer"}
# Its migrations would make a second table beside ApiToken's.
MIGRATION_MODULES = {"knox": None}

# --- Passwords: locks by django-axes ---
AUTHENTICATION_BACKENDS = ["mlserve.access.sign_in.Locks", "django.contrib.auth.backends.ModelBackend"]
# A lock is for one name from one address: an attacker must not lock a user out, and MLSERVE_RATE_ADDRESS slows attempts
# at many names from one address.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_COOLOFF_TIME = timedelta(minutes=15)
# Further attempts during a lock neither prolong it nor add rows.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "mlserve.http.addresses.client_network"
AXES_LOCKOUT_CALLABLE = "mlserve.access.sign_in.locked_out"
# Names and addresses are stored for the quarter of an hour that they are needed; no other part of a request is.
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken", "next"]
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# --- Pages: django-csp ---
# Pages may load only files of this service and nothing inline, so that no text of a caller is ever executed. The page
# of uploads adds the bucket.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],  # Swagger UI's icons
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- API: Django REST framework ---
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        # The first one answers 401 with the challenges of all; sessions alone would answer 403.
        "mlserve.access.tokens.ApiTokenAuthentication",
        "mlserve.access.tokens.PasswordAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    # Access to a model is decided per object (ModelQuerySet.visible_to).
    "DEFAULT_PERMISSION_CLASSES": [
        "mlserve.permissions.TokenScope",
        "mlserve.http.query_parameters.KnownParameters",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["mlserve.access.throttling.CallerRate"],
    "DEFAULT_PARSER_CLASSES": ["mlserve.http.jsonbody.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "mlserve.http.renderers.OrjsonRenderer",
        "mlserve.http.renderers.BrowsableRenderer",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "mlserve.http.renderers.Negotiation",
    "DEFAULT_METADATA_CLASS": "mlserve.http.metadata.PlainMetadata",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "mlserve.http.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

# --- Pages of other origins: django-cors-headers ---
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-encoding", "content-type", "idempotency-key", "prefer", "traceparent",
    "tracestate", "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = [
    "Allow", "Location", "Preference-Applied", "Retry-After", "WWW-Authenticate", "X-Request-ID",
]  # fmt: skip

# --- OpenAPI: drf-spectacular ---
SPECTACULAR_SETTINGS = {
    "TITLE": "mlserve",
    "DESCRIPTION": "Predictions from scikit-learn pipelines: validated, stored, asynchronous by default.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api",
    "PATH_CONVERTER_OVERRIDES": {"id": {"type": "string", "format": "uuid"}},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "mlserve.site.openapi.add_summaries",
        "mlserve.site.openapi.add_live_models",
        "mlserve.http.openapi_responses.add_problems",
    ],
}
