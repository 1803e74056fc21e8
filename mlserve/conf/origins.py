"""Origins of web pages as browsers send them: scheme, host, and a port unless it is the scheme's own. Pure."""

import re

_ANY = "*"
_HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?|\[[0-9a-f:.]+\]"
_ORIGIN = re.compile(rf"(?P<scheme>https?)://(?:{_HOST})(?::(?P<port>[1-9]\d{{0,4}}))?", re.ASCII)
_OWN_PORTS = {"http": "80", "https": "443"}


def origins_of(text: str) -> list[str]:
    """The origins in a list that commas separate; `*` is allowed alone. Raises ValueError.

    An origin that no browser sends would allow nothing: with a path, a final slash, quotes, or the scheme's own port.
    """
    origins = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
    if origins == [_ANY]:
        return origins
    for origin in origins:
        match = _ORIGIN.fullmatch(origin)
        if match is None or match["port"] == _OWN_PORTS[match["scheme"]] or int(match["port"] or 1) >= 2**16:
            raise ValueError(origin)
    return list(dict.fromkeys(origins))
