"""The registry in the admin, where Django looks for it."""

from registry.admin import versions

__all__ = ["versions"]
