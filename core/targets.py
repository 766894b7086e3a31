"""Where a webhook may lead: to public addresses, or to hosts that the operator allows.

Whoever may make a webhook has this server send requests, so without these rules they would reach whatever
only this server can reach: the database beside it, or the metadata service of its cloud. The form of an
address is checked when a webhook is made; what its host's name resolves to, when it is sent
(worker/posting.py).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self

from pydantic_core import Url, ValidationError

from core.errors import InvalidRequest

MAX_URL: Final = 2048

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
#: Of IPv6, only this is handed out to networks, so all else is local, reserved or IPv4 in disguise …
_GLOBAL_UNICAST = IPv6Network("2000::/3")
#: … and of this, 6to4 leads to the IPv4 address that it contains, and the others are not routed.
_NOT_PUBLIC = tuple(
    map(ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "192.88.99.0/24"))
)


@dataclass(frozen=True, kw_only=True)
class AllowedHosts:
    """Names and networks that webhooks may lead to although they are not public, also without TLS."""

    names: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Self:
        """From the setting.

        Raises:
            ValueError: an entry is neither a name nor a network.
        """
        names, networks = set(), []
        for entry in entries:
            try:
                networks.append(ip_network(entry))
            except ValueError as error:
                name = entry.lower()
                # The last label of an address starts with a digit, that of a name does not.
                if not _NAME.fullmatch(name) or name.rpartition(".")[2][0].isdigit():
                    raise ValueError(f"{entry!r} is neither a host name nor a network ({error})") from None
                names.add(name)
        return cls(names=frozenset(names), networks=tuple(networks))

    def contain(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.networks)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A parsed address. `url` is its normal form; `host` has no brackets."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS: Final = {"http": 80, "https": 443}


def parse_target(url: str, allowed: AllowedHosts) -> Target:
    """Read an address as browsers do, so that every spelling of it (0x7f.1, 2130706433) is seen through.

    Raises:
        InvalidRequest: it cannot be an address of a webhook.
    """
    try:
        parsed = Url(url)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Input should be a valid URL, ")
        raise _refused(f"is not a URL: {reason}") from None
    host = (parsed.host or "").strip("[]").removesuffix(".")
    if parsed.scheme not in _PORTS or not host or not parsed.port:
        raise _refused("must be like https://host/path")
    if parsed.username or parsed.password:
        raise _refused("must not contain a user name or a password: deliveries are signed instead")
    if parsed.fragment is not None:
        raise _refused("must not have a fragment (#…): it is never sent")
    if len(str(parsed)) > MAX_URL:
        raise _refused(f"is {len(str(parsed))} characters long; the limit is {MAX_URL}")
    address = _literal(host)
    if address is not None:
        check_address(host, address, allowed)
    elif not _NAME.fullmatch(host) or len(host) > 253 or max(map(len, host.split("."))) > 63:
        raise _refused("has a host that is not a valid name")
    known = allowed.contain(address) if address else host in allowed.names
    if parsed.scheme == "http" and not known:
        raise _refused("must be https: http is only for hosts in the setting webhook_allowed_hosts")
    path = (parsed.path or "/") + (f"?{parsed.query}" if parsed.query is not None else "")
    return Target(url=str(parsed), scheme=parsed.scheme, host=host, port=parsed.port, path=path)


def check_address(host: str, address: IPv4Address | IPv6Address, allowed: AllowedHosts) -> None:
    """Refuse an address that `host` stands for, unless it is public or allowed.

    The address itself is not told: what the server's own network looks like is nobody's business.

    Raises:
        InvalidRequest
    """
    address = getattr(address, "ipv4_mapped", None) or address
    if host in allowed.names or allowed.contain(address) or is_public(address):
        return
    raise _refused(
        f"leads to an address that is not public ({host}); the setting webhook_allowed_hosts can allow it"
    )


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether anybody on the internet could be there: not private, shared, local, multicast or reserved."""
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return False
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _refused(what: str) -> InvalidRequest:
    return InvalidRequest(f"the address of a webhook {what}", code="webhook_url_refused", pointer="/url")
