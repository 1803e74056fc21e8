"""What OPTIONS answers: the name and words of a view, and its media types; nothing that depends on who asks.

DRF's own would also describe what may be sent, for which it looks up the row and asks for a serializer; that stands in
/api/schema.
"""

from typing import Any

from rest_framework.metadata import SimpleMetadata


class PlainMetadata(SimpleMetadata):
    def determine_actions(self, request: Any, view: Any) -> dict[str, Any]:
        return {}
