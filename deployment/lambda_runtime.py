"""The packages of Lambda's own Python beside the standard library, as a folder: AWS's SDK and the runtime's client.

Copied out of this Python's environment, to try a package with nothing else on the import path:

    python -m deployment.lambda_runtime FOLDER
"""

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

# boto3 and awslambdaric with their dependencies.
BROUGHT = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "python-dateutil", "six")
CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")


def make(folder: Path) -> Path:
    """The folder, filled. The client is left out where this environment lacks it."""
    for name in (*BROUGHT, *CLIENT):
        try:
            library = distribution(name)
        except PackageNotFoundError:
            if name in BROUGHT:
                raise
            continue
        for file, path in _modules(library):
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return folder


def _modules(library: Distribution) -> Iterator[tuple[str, Path]]:
    """Without scripts, and with usable bytecode only where pip left some."""
    for file in library.files or ():
        path = Path(str(library.locate_file(file)))
        if ".." not in PurePosixPath(file).parts and path.is_file():
            yield str(file), path


if __name__ == "__main__":
    make(Path(sys.argv[1]))
