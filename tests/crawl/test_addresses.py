"""No name and no notation leads to an address inside, unless the recipe names it."""

from __future__ import annotations

import asyncio

import pytest

from pipelines.crawl.addresses import Addresses, GuardedResolver, PrivateAddress


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "192.168.1.1",
        "169.254.169.254", "0.0.0.0", "100.64.0.1", "[fe80::1]", "[fd00::1]", "[64:ff9b::a00:1]", "[2002:7f00:1::]", "224.0.0.1",
    ],
)  # fmt: skip
def test_a_private_address_is_refused_in_any_notation(host: str) -> None:
    with pytest.raises(PrivateAddress):
        Addresses([], {}).check_literal(host, 80)


def test_public_addresses_and_names_pass() -> None:
    for host in ("8.8.8.8", "[2001:4860:4860::8888]", "example.ir", "abc.de", "face.ir"):
        Addresses([], {}).check_literal(host, 80)


def test_a_named_host_may_be_private_on_its_port_only() -> None:
    addresses = Addresses(["127.0.1.1:8800"], {})
    addresses.check_literal("127.0.1.1", 8800)
    with pytest.raises(PrivateAddress):
        addresses.check_literal("127.0.1.1", 22)


def test_a_name_that_leads_inside_is_refused() -> None:
    with pytest.raises(PrivateAddress):
        asyncio.run(GuardedResolver(Addresses([], {})).resolve("localhost", 80))


def test_a_resolved_name_leads_where_the_recipe_says() -> None:
    found = asyncio.run(GuardedResolver(Addresses([], {"a.demo.test": "127.0.0.1:8751"})).resolve("a.demo.test", 80))
    assert [(result["host"], result["port"]) for result in found] == [("127.0.0.1", 8751)]


def test_only_somebody_elses_machine_needs_a_contact() -> None:
    addresses = Addresses(["10.0.0.5"], {"a.demo.test": "127.0.0.1:1"})
    assert not addresses.leaves_this_machine("a.demo.test", 80)
    assert not addresses.leaves_this_machine("127.0.0.1", 80)
    assert not addresses.leaves_this_machine("10.0.0.5", 80)
    assert addresses.leaves_this_machine("drhast.com", 443)
