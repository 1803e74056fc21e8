"""Static files under names that hold their content's hash, JavaScript modules included."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # whitenoise has no types
    """Modules that import each other do so by those names, too: no other copy of a file is kept."""

    support_js_module_import_aggregation = True
