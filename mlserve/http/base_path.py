"""MLSERVE_BASE_PATH: proxies pass requests on with the path below which the service stands, or take it away first."""

from django.conf import settings
from django.urls import Resolver404, resolve


def without_base_path(path: str) -> str:
    """PATH_INFO as the patterns of `mlserve/urls.py` know it.

    A path that has one of our addresses as it is, although it begins with the base path, was stripped by the proxy:
    `/api/models` below the base path `/api`.
    """
    base: str | None = settings.FORCE_SCRIPT_NAME
    if not base:
        return path
    if path.startswith("//"):  # nginx leaves two where the path of its `location` ends without a slash
        path = f"/{path.lstrip('/')}"
    if not f"{path}/".startswith(f"{base}/"):
        return path
    return path if _is_ours(path) else path[len(base) :] or "/"


def _is_ours(path: str) -> bool:
    """All patterns have names, except those for what is no address."""
    try:
        return resolve(path).url_name is not None
    except Resolver404:
        return False
