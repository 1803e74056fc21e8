"""Ids in addresses, in each form in which databases and languages write a UUID."""

from uuid import UUID

from django.urls import register_converter

# Its name in routes and in drf-spectacular's PATH_CONVERTER_OVERRIDES.
NAME = "id"


class AnyUuid:
    """In upper or lower case, with dashes or without, in braces or without: SQL Server and .NET write `{0193…}`."""

    _BARE = "[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
    regex = rf"(?:{_BARE}|\{{{_BARE}\}})"

    def to_python(self, value: str) -> UUID:
        return UUID(value)

    def to_url(self, value: UUID) -> str:
        return str(value)


register_converter(AnyUuid, NAME)
