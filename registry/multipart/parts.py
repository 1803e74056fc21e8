"""The parts of an upload: how many, how large, and what a place for them can do. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from mlserve.errors import UploadIncomplete

PART_BYTES = 8 * 2**20
# What S3 takes of one upload.
MOST_PARTS = 10_000
# How long a pre-signed address is good for. A client that needs longer asks for another one.
ADDRESS_SECONDS = 3600

_NAMED_NUMBERS = 20


@dataclass(frozen=True)
class Staging:
    """The place of one upload: `prefix` begins its keys, `transfer_id` is what the storage calls the transfer."""

    prefix: str
    transfer_id: str
    size_bytes: int
    part_bytes: int

    @property
    def key(self) -> str:
        """Of the whole file, where the storage puts it together."""
        return f"{self.prefix}/artifact"

    @property
    def part_count(self) -> int:
        return -(-self.size_bytes // self.part_bytes)

    def bytes_of(self, number: int) -> int:
        """The size that a part must have; numbers begin at 1."""
        return min(self.part_bytes, self.size_bytes - (number - 1) * self.part_bytes)


class Transfer(Protocol):
    """Every method raises Unavailable when the storage does not answer."""

    def origin(self) -> str:
        """Scheme and host of the addresses for parts; "" where they are this server's own."""

    def begin(self, staging: Staging) -> str:
        """Make room for the parts; the `transfer_id`."""

    def address_of(self, staging: Staging, number: int) -> str | None:
        """Where to PUT a part without credentials; None when this server takes it itself."""

    def receive(self, staging: Staging, number: int, stream: IO[bytes]) -> None:
        """Take a part from this server's own request. Raises BadRequest for one that ends early, and Conflict."""

    def arrived(self, staging: Staging) -> list[int]:
        """The numbers of the parts that are there with the size they must have, in order."""

    def complete(self, staging: Staging) -> None:
        """No more parts: from now on the whole file can be fetched; again changes nothing. Raises UploadIncomplete."""

    def fetch(self, staging: Staging, path: Path) -> None:
        """Write the whole file, of which not a byte is checked yet, to `path`. Raises BadUpload when it is gone."""

    def discard(self, staging: Staging) -> None:
        """Delete whatever is there, complete or not; again changes nothing."""


def part_bytes_for(size_bytes: int) -> int:
    """8 MiB, or as many whole mebibytes as MOST_PARTS parts need."""
    least = -(-size_bytes // MOST_PARTS)
    return max(PART_BYTES, -(-least // 2**20) * 2**20)


def require_all(staging: Staging, sizes: Mapping[int, int]) -> None:
    """Raise UploadIncomplete unless `sizes` (bytes by number) holds every part with the size it must have."""
    missing = [number for number in range(1, staging.part_count + 1) if number not in sizes]
    wrong = [number for number in sizes if number > staging.part_count or sizes[number] != staging.bytes_of(number)]
    if missing:
        raise UploadIncomplete(
            f"{len(missing)} of {staging.part_count} parts have not arrived: {_listed(missing)}. Send them, then "
            "submit again.",
            missing=missing,
        )
    if wrong:
        raise UploadIncomplete(
            f"The parts {_listed(wrong)} have another size than announced. Send them again: all but the last one have "
            f"{staging.part_bytes} bytes, and the whole has {staging.size_bytes}.",
            missing=wrong,
        )


def _listed(numbers: Sequence[int]) -> str:
    more = ", …" if len(numbers) > _NAMED_NUMBERS else ""
    return ", ".join(map(str, numbers[:_NAMED_NUMBERS])) + more
