"""Where a webhook may lead, in every spelling of an address that a resolver or a browser would understand."""

from ipaddress import ip_address

import pytest

from core.errors import InvalidRequest
from core.settings import Settings
from core.targets import AllowedHosts, check_address, is_public, parse_target

NOBODY = AllowedHosts()

NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1",
    "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1",
    "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "3fff::1",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
]

#: Each is 127.0.0.1 or 169.254.169.254 in disguise.
DISGUISED = [
    "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "127.0.0.1.",
    "0x7f.1", "00000177.0x0.0.1", "１２７.0.0.1", "127。0。0。1", "%31%32%37.0.0.1", "2852039166",
    "0xa9fea9fe", "169.254.43518", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::127.0.0.1]", "[64:ff9b::169.254.169.254]", "[2002:a9fe:a9fe::]", "[fd00:ec2::254]",
]  # fmt: skip

MALFORMED = {
    "": "not a URL",
    "example.com/x": "not a URL",
    "//example.com/x": "not a URL",
    "ftp://example.com/": "must be like",
    "file:///etc/passwd": "must be like",
    "gopher://127.0.0.1:6379/_x": "must be like",
    "javascript:alert(1)": "must be like",
    "https://": "not a URL",
    "https://example.com:0/": "must be like",
    "https://example.com:99999/": "not a URL",
    "https://me@example.com/": "user name",
    "https://me:secret@example.com/": "user name",
    "https://:secret@example.com/": "user name",
    "https://example.com#@127.0.0.1/": "fragment",
    "https://[fe80::1%25eth0]/": "not a URL",
    "https://256.1.1.1/": "not a URL",
    "https://1.2.3.4.5/": "not a URL",
    "https://a..b/": "not a valid name",
    f"https://{'a' * 64}.com/": "not a valid name",
    f"https://{'a.' * 127}com/": "not a valid name",
    "https://a\0b.com/": "not a URL",
    "https://a.com/\ud800": "not a URL",
    "https://exa mple.com/": "not a URL",
    "https://example.com/" + "x" * 2048: "limit is 2048",
    "http://example.com/": "must be https",
}


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public(address: str) -> None:
    with pytest.raises(InvalidRequest, match="not public") as refused:
        check_address("some.name", ip_address(address), NOBODY)
    assert refused.value.code == "webhook_url_refused"
    assert address not in refused.value.detail


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public(address: str) -> None:
    check_address("some.name", ip_address(address), NOBODY)


def test_no_network_is_public_in_one_half_only() -> None:
    """Each side of each border of what must never be reached."""
    for inside, outside in (
        ("10.0.0.0", "9.255.255.255"),
        ("10.255.255.255", "11.0.0.0"),
        ("127.0.0.0", "126.255.255.255"),
        ("169.254.0.0", "169.253.255.255"),
        ("169.254.255.255", "169.255.0.0"),
        ("172.16.0.0", "172.15.255.255"),
        ("192.168.255.255", "192.169.0.0"),
        ("224.0.0.0", "223.255.255.255"),
    ):
        assert not is_public(ip_address(inside))
        assert is_public(ip_address(outside))


@pytest.mark.parametrize("host", DISGUISED)
def test_disguises(host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(InvalidRequest, match="not public"):
            parse_target(f"{scheme}://{host}/x", NOBODY)


@pytest.mark.parametrize(("url", "why"), MALFORMED.items())
def test_what_is_no_address_of_a_webhook(url: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        parse_target(url, NOBODY)
    assert refused.value.pointer == "/url"


def test_a_target_in_its_normal_form() -> None:
    target = parse_target("HTTPS://Hooks.Example.COM:8443/a b?q=1", NOBODY)
    assert target.url == "https://hooks.example.com:8443/a%20b?q=1"
    assert (target.host, target.port, target.path) == ("hooks.example.com", 8443, "/a%20b?q=1")
    assert target.authority == "hooks.example.com:8443"
    assert parse_target("https://bücher.example", NOBODY).host == "xn--bcher-kva.example"
    assert parse_target("https://[2606:4700::1111]/", NOBODY).authority == "[2606:4700::1111]"


def test_allowed_hosts() -> None:
    allowed = AllowedHosts.of(["Hooks.Internal", "10.1.0.0/16", "fd00::/8", "192.168.1.7"])
    assert parse_target("http://hooks.internal:8080/", allowed).port == 8080
    assert parse_target("http://10.1.2.3/", allowed).host == "10.1.2.3"
    assert parse_target("http://[fd00::1]/", allowed).host == "fd00::1"
    check_address("hooks.internal", ip_address("10.9.9.9"), allowed)
    check_address("other.name", ip_address("10.1.9.9"), allowed)
    check_address("other.name", ip_address("::ffff:10.1.9.9"), allowed)
    for url in ("http://10.2.0.1/", "https://192.168.1.8/", "http://x.hooks.internal/", "http://internal/"):
        with pytest.raises(InvalidRequest):
            parse_target(url, allowed)
    with pytest.raises(InvalidRequest):
        check_address("x.hooks.internal", ip_address("10.9.9.9"), allowed)


@pytest.mark.parametrize(
    "entry", ["", "10.0.0.1/8", "1.2.3", "http://x", "*.example.com", "a b", "x:80", "0x7f.1"]
)
def test_a_wrong_entry_is_refused_at_the_start(entry: str) -> None:
    with pytest.raises(ValueError, match="neither a host name nor a network"):
        Settings(webhook_allowed_hosts=[entry])
