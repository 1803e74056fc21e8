"""Static files under names that contain their content's hash, JavaScript modules included."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # whitenoise has no types
    """Modules import each other by those names too, because no other copy of a file is kept."""

    support_js_module_import_aggregation = True
