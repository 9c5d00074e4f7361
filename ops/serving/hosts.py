"""Where the service listens, and what requests may call it."""

from __future__ import annotations

from ipaddress import ip_address

from pilothouse.data.errors import OpenWithoutKeys
from pilothouse.data.settings import YES, Settings

LOOPBACK = "127.0.0.1"
_LOCAL_NAMES = (LOOPBACK, "localhost", "::1")
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104


def refuse_open(settings: Settings) -> None:
    """Raises OpenWithoutKeys where others could reach a service that asks for no keys."""
    if settings.require_keys != YES and not is_loopback(settings.service_host):
        raise OpenWithoutKeys(settings.service_host)


def is_loopback(host: str) -> bool:
    """
    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    if host in _LOCAL_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # A name: what it stands for may change after it was looked up.
        return False


def service_address(settings: Settings, port: int) -> str:
    """The URL by which this machine reaches the service.

    >>> service_address(Settings(service_host="0.0.0.0"), 3000)
    'http://127.0.0.1:3000'
    """
    host = LOOPBACK if settings.service_host in _EVERYWHERE else settings.service_host
    return f"http://{_in_url(host)}:{port}"


def names_of(settings: Settings) -> frozenset[bytes]:
    """What the header Host may say, without a port."""
    told = (name.strip().lower() for name in settings.service_names.split(","))
    names = {settings.service_host, *_LOCAL_NAMES, *told} - {"", *_EVERYWHERE}
    return frozenset(_in_url(name).encode() for name in names)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
