"""What Lambda calls. HTTP and `zappa manage` go through Zappa's own handler."""

from typing import Any

from zappa.handler import LambdaHandler

# Settings, apps and the WSGI application load with this module: before the first event, while Lambda gives a function
# more of a processor than it pays for later.
_zappa = LambdaHandler()


def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    return _zappa.handler(event, context)
