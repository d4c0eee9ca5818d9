"""Which addresses may be connected to: global ones, and those that the recipe names."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence

from aiohttp.abc import AbstractResolver, ResolveResult

_NUMERIC = re.compile(r"(?i)^[0-9a-fx.]*[0-9][0-9a-fx.]*$")


class PrivateAddress(OSError):
    """A host leads to an address that is not on the public internet and that the recipe does not name."""


class Addresses:
    """`allow_private`: hosts (name or name:port) that may be private. `resolve`: name -> address:port, allowed too."""

    def __init__(self, allow_private: Sequence[str], resolve: Mapping[str, str]) -> None:
        self.allow_private = frozenset(allow_private)
        self.resolve = {name: _address_and_port(target) for name, target in resolve.items()}

    def names(self, host: str, port: int) -> bool:
        """Whether the recipe names this host."""
        return host in self.resolve or host in self.allow_private or f"{host}:{port}" in self.allow_private

    def check_literal(self, host: str, port: int) -> None:
        """Refuse a host that is itself a private address, in any notation. Raises PrivateAddress."""
        address = literal_address(host)
        if address is not None and not self.names(host, port) and not is_public(address):
            raise PrivateAddress(f"{host} is {address}, which is not a public address")

    def leaves_this_machine(self, host: str, port: int) -> bool:
        """Whether fetching from this host goes to somebody else's machine."""
        address = literal_address(host)
        return not self.names(host, port) and not (address is not None and address.is_loopback) and host != "localhost"


class GuardedResolver(AbstractResolver):
    """aiohttp's resolver that answers with allowed addresses only, so that a name can't lead inside."""

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        if host in self.addresses.resolve:
            address, mapped_port = self.addresses.resolve[host]
            return [_result(host, address, mapped_port or port)]
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        results = [_result(host, str(sockaddr[0]).partition("%")[0], port) for *_, sockaddr in found]
        if self.addresses.names(host, port):
            return results
        for result in results:
            if not is_public(ipaddress.ip_address(result["host"])):
                raise PrivateAddress(f"{host} leads to {result['host']}, which is not a public address")
        return results

    async def close(self) -> None:
        return None


def literal_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is, in any notation that a C library reads (`127.1`, `0x7f000001`, `2130706433`)."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    if not _NUMERIC.match(host):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is on the public internet, also behind the ways to write IPv4 as IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    prefix = ipaddress.IPv6Network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in prefix else None


def _address_and_port(target: str) -> tuple[str, int | None]:
    address, colon, port = target.rpartition(":")
    return (address.strip("[]"), int(port)) if colon and port.isdecimal() else (target.strip("[]"), None)


def _result(hostname: str, host: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return ResolveResult(hostname=hostname, host=host, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
