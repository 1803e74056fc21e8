"""Files in a posted form, before anything of them is written to disk: who may send them, and how much."""

import tempfile
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler

from mlserve.errors import TooLarge
from mlserve.units import size_text
from registry.uploads.incoming import MAX_SMALL_FILE_BYTES

# A schema, a sample, expected answers and a form beside the artifact.
_SMALL_FILES = 4


class FilesTooLarge(TooLarge, RequestDataTooBig):
    """Known to Django as well, whose middleware may read a form before there is a view."""


class FilesOfUploaders(FileUploadHandler):
    """The first of FILE_UPLOAD_HANDLERS: keeps nothing itself, and passes on only the files of users who may upload.

    Django reads a form, its files included, as soon as anything asks for one of its fields: the check of a CSRF token
    does, at any address, before a view checks any permission.
    """

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self._received = 0

    def new_file(self, *args: Any, **options: Any) -> None:
        super().new_file(*args, **options)
        user = getattr(self.request, "user", None)
        if user is None or not user.has_perm("registry.add_modelversion"):
            raise PermissionDenied("Files are taken only from those who may upload a model.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self._received += len(raw_data)
        most = settings.MLSERVE_MAX_ARTIFACT_BYTES
        if self._received > most + _SMALL_FILES * MAX_SMALL_FILE_BYTES:
            self._discard_received()
            raise FilesTooLarge(
                f"The files are larger than {size_text(most)} (MLSERVE_MAX_ARTIFACT_BYTES). Nothing of them was kept."
            )
        return raw_data

    def _discard_received(self) -> None:
        """Delete what came so far. Django does so for whole files only."""
        for handler in getattr(self.request, "upload_handlers", ()):
            if (file := getattr(handler, "file", None)) is not None:
                file.close()

    def file_complete(self, file_size: int) -> None:
        """The handlers behind this one have it."""


class NamelessFiles(FileUploadHandler):
    """The last of FILE_UPLOAD_HANDLERS: files on the disk without a name there, which end with the process.

    Django's own have names, and stay when the process is killed.
    """

    file: "UploadedFile[bytes] | None" = None

    def new_file(self, *args: Any, **options: Any) -> None:
        super().new_file(*args, **options)
        content = tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115 - Django closes it
        self.file = UploadedFile(content, self.file_name, self.content_type, 0, self.charset, self.content_type_extra)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self.file is not None:
            self.file.write(raw_data)

    def file_complete(self, file_size: int) -> "UploadedFile[bytes] | None":
        if self.file is not None:
            self.file.seek(0)
            self.file.size = file_size
        return self.file

    def upload_interrupted(self) -> None:
        if self.file is not None:
            self.file.close()
