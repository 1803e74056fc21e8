import subprocess
import sys

import pytest

_PROGRAM = """
import os, sys
from mlserve.processes.standard_streams import open_standard_streams

open_standard_streams()
file = os.open(os.devnull, os.O_RDONLY)
print("to stdout")
print("to stderr", file=sys.stderr)
sys.exit(10 + file)
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_it_gives_no_file_the_number_of_a_stream(closed: str) -> None:
    command = ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, _PROGRAM]

    assert subprocess.run(command, check=False).returncode >= 13
