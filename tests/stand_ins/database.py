"""PostgreSQL at a TCP address, which the database of the tests has none of, and which can be made unreachable."""

from urllib.parse import unquote, urlsplit

from tests.stand_ins.front import Front


class DatabaseFront(Front):
    """Passes connections on to the server of `url`, whose host is the folder of a socket."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._user = parts.username
        super().__init__(f"{unquote(parts.netloc.rpartition('@')[2])}/.s.PGSQL.5432")

    def url(self, name: str) -> str:
        return f"postgres://{self._user}@127.0.0.1:{self.port}/{name}"
