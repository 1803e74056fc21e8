"""AWS for tests: moto's server on a port of its own, reached over HTTP as AWS is.

It keeps S3's and SQS's promises as far as they show in answers. It checks no permissions and no signatures.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer


class StandIn:
    """One for the whole run. Its tests share it, so each takes buckets and queues of its own."""

    def __init__(self, endpoint_url: str, *, region: str | None = None) -> None:
        self.endpoint_url = endpoint_url
        self._session = boto3.Session(region_name=region)
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A client of its region, else of that in AWS_DEFAULT_REGION; made once."""
        if service not in self._clients:
            self._clients[service] = self._session.client(service, endpoint_url=self.endpoint_url)
        return self._clients[service]

    def new_bucket(self) -> str:
        """The name of an empty bucket, as AWS makes one without further settings."""
        name, region = f"bucket-{uuid4().hex[:12]}", self._session.region_name
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
        return name

    def new_queue_name(self) -> str:
        """A name under which there is no queue yet."""
        return f"queue-{uuid4().hex[:12]}"

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@contextmanager
def running() -> Iterator[StandIn]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    stand_in = StandIn(f"http://{host}:{port}")
    try:
        yield stand_in
    finally:
        stand_in.close()
        server.stop()
