"""The answer to OPTIONS: the name and description of a view and its media types, the same for every caller.

DRF's own class would also describe the fields of a request, for which it looks up the row and makes a serializer; these
are documented in /api/schema.
"""

from typing import Any

from rest_framework.metadata import SimpleMetadata


class PlainMetadata(SimpleMetadata):
    def determine_actions(self, request: Any, view: Any) -> dict[str, Any]:
        return {}
