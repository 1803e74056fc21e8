"""One id for a request, from the client or the gateway to the last line that a worker writes about it.

Pure: reads a WSGI environment, knows no framework.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

HEADER = "X-Request-ID"
# The key under which tracing puts the id of its span, by which a worker continues the trace.
OF_TRACE = "mlserve.trace"
# The characters of ids of proxies and traces. None of them can end a line, a header or a quoted string.
_SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,100}")
_BYTES = 12


def request_id_of(environ: Mapping[str, Any]) -> str:
    """The client's, if it is sane; else that of the trace, that of API Gateway, or a new one."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    if given and _SANE.fullmatch(given):
        return str(given)
    return str(environ.get(OF_TRACE) or _of_gateway(environ) or os.urandom(_BYTES).hex())


def _of_gateway(environ: Mapping[str, Any]) -> str:
    context = environ.get("apig_wsgi.request_context")
    return str(context.get("requestId") or "") if context else ""
