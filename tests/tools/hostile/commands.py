"""Attempts of a sandboxed command to reach what the network of its task does not allow.

Each is a kind of `inside.py` with its arguments. Placeholders are those of `table.py`; `{N}` is the
name of the abstract socket.
"""

from collections.abc import Callable, Iterator
from typing import Any

from tests.tools.hostile.table import HOSTS, REBINDING

Attempt = list[Any]

GET = "GET / HTTP/1.0\r\n\r\n"
HERE = "127.0.0.1"


def attempts(fill: Callable[[str], str], ports: dict[str, int]) -> Iterator[Attempt]:
    """Yield all attempts, with the ports filled in."""
    for given in (*_tunnels(), *_messages(), *_shell(), *_tls(), *_socks()):
        yield [fill(part) if isinstance(part, str) else part for part in given]
    yield from _sockets(ports)
    for host in (*HOSTS, *REBINDING):
        name, _, port = fill(host).rpartition(":")
        if port.isdigit() and int(port) < 2**16:
            yield ["socks_name", name.strip("[]"), int(port)]


def _tunnels() -> Iterator[Attempt]:
    """Every host of the table, as the target of a tunnel."""
    for host in (*HOSTS, "rebind.example:{P}"):
        yield ["http", f"CONNECT {host} HTTP/1.1\r\nHost: allowed.example:{{P}}\r\n\r\n", GET]


def _messages() -> Iterator[Attempt]:
    """Messages that a proxy and a server may read in different ways."""
    good = "http://allowed.example:{P}/"
    host = "Host: allowed.example:{P}\r\n"
    smuggled = "GET http://127.0.0.1:{P}/smuggled HTTP/1.1\r\nHost: 127.0.0.1:{P}\r\n\r\n"
    yield ["http", "GET http://127.0.0.1:{P}/ HTTP/1.1\r\n" + host + "\r\n"]
    yield ["http", "GET http://other.example:{P}/ HTTP/1.1\r\n" + host + "\r\n"]
    yield ["http", "GET / HTTP/1.1\r\nHost: 127.0.0.1:{P}\r\n\r\n"]
    yield ["http", f"GET {good} HTTP/1.1\r\nHost: other.example:{{P}}\r\n\r\n"]
    yield ["http", f"GET {good} HTTP/1.1\r\n{host}Host: other.example\r\n\r\n"]
    yield ["http", f"GET {good} HTTP/1.1\r\n{host}X: a\r\n Host: other.example\r\n\r\n"]
    yield ["http", f"GET {good} HTTP/1.1\r\n{host}Connection: keep-alive\r\n\r\n{smuggled}"]
    for framing in (
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
        "Content-Length: +0\r\n\r\n",
        "Content-Length: 0x0\r\n\r\n",
    ):
        yield ["http", f"POST {good} HTTP/1.1\r\n{host}{framing}{smuggled}"]
    for line in (
        "CONNECT 127.0.0.1:{P} allowed.example:{P} HTTP/1.1",
        "CONNECT allowed.example:{P} 127.0.0.1:{P} HTTP/1.1",
        "CONNECT http://127.0.0.1:{P}/ HTTP/1.1", "connect 127.0.0.1:{P} HTTP/1.1",
        "CONNECT 127.0.0.1:{P} HTTP/0.9", "CONNECT 127.0.0.1:{P}",
        "CONNECT\t127.0.0.1:{P}\tHTTP/1.1", "CONNECT 127.0.0.1:{P}  HTTP/1.1",
        "CONNECT /127.0.0.1:{P} HTTP/1.1", "CONNECT allowed.example:{P}\0@127.0.0.1:{P} HTTP/1.1",
        "CONNECT allowed.example:{P}\n127.0.0.1:{P} HTTP/1.1", "CONNECT :{P} HTTP/1.1",
        "CONNECT *:{P} HTTP/1.1", "CONNECT allowed.example:{P},127.0.0.1:{P} HTTP/1.1",
        "CONNECT unix:/tmp/socket:{P} HTTP/1.1", "OPTIONS http://127.0.0.1:{P}/ HTTP/1.1",
        "CONNECT-UDP 127.0.0.1:{T} HTTP/1.1", "PRI * HTTP/2.0",
    ):  # fmt: skip
        yield ["http", f"{line}\r\n{host}\r\n", GET]
    yield ["http", "CONNECT allowed.example:{P} HTTP/1.1\nHost: 127.0.0.1:{P}\n\n" + smuggled]
    yield ["http", "CONNECT 127.0.0.1:{P} HTTP/1.1\r\nX: " + "a" * 100_000 + "\r\n\r\n", GET]
    yield ["http", "\r\n\r\nCONNECT 127.0.0.1:{P} HTTP/1.1\r\n\r\n", GET]
    yield ["http", "\x05\x01\x00", "\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", GET]


def _socks() -> Iterator[Attempt]:
    """SOCKS with addresses instead of names, other commands and other versions."""
    greeting, port = "050100", "{PX}"
    for address in (
        "017f000001", "0100000000", "017f000002", "01a9fea9fe", "04" + "0" * 31 + "1",
        "04" + "0" * 32, "04" + "0" * 20 + "ffff7f000001", "040064ff9b" + "0" * 16 + "7f000001",
    ):  # fmt: skip
        yield ["socks", greeting, f"050100{address}{port}", GET.encode().hex()]
    for command in ("02", "03", "f0"):
        yield ["socks", greeting, f"05{command}00017f000001{port}", GET.encode().hex()]
    yield ["socks", f"0401{port}7f00000100", GET.encode().hex()]
    yield ["socks", f"0401{port}0000000100" + b"127.0.0.1\0".hex(), GET.encode().hex()]
    yield ["socks", f"050100017f000001{port}", GET.encode().hex()]
    yield ["socks", "050102", f"050100017f000001{port}", GET.encode().hex()]
    yield ["socks", greeting + f"050100017f000001{port}" + GET.encode().hex()]
    yield ["socks", greeting, f"0501000300{port}", GET.encode().hex()]


def _tls() -> Iterator[Attempt]:
    """TLS in a tunnel to the allowed host, for another host."""
    for name in ("other.example", "allowed.example.other.example", "notallowed.example", HERE):
        yield ["tls", "allowed.example:{P}", name, 10_000]
    yield ["tls", "allowed.example:{P}", "other.example", 1]
    yield ["tls", "allowed.example:{P}", "other.example", 40]
    yield ["tls", "a.wild.example:{P}", "b.wild.example", 10_000]


def _sockets(ports: dict[str, int]) -> Iterator[Attempt]:
    """Sockets of every family, without the proxy."""
    for port in ports.values():
        for address in (HERE, "127.0.0.9", "127.0.0.2", "0.0.0.0", "10.0.2.2", "172.17.0.1"):  # noqa: S104
            yield ["connect", "AF_INET", "SOCK_STREAM", [address, port]]
            yield ["connect", "AF_INET", "SOCK_DGRAM", [address, port]]
        for address in ("::1", "::", "::ffff:127.0.0.1", "::ffff:127.0.0.9"):
            yield ["connect", "AF_INET6", "SOCK_STREAM", [address, port]]
            yield ["connect", "AF_INET6", "SOCK_DGRAM", [address, port]]
        yield ["connect", "AF_VSOCK", "SOCK_STREAM", [2, port]]
        yield ["connect", "AF_UNIX", "SOCK_STREAM", f"\0perdure-{port}"]
        yield ["connect", "AF_UNIX", "SOCK_SEQPACKET", f"\0perdure-{port}"]
    for kind in ("SOCK_RAW", "SOCK_DGRAM"):
        yield ["connect", "AF_NETLINK", kind, [0, 0]]
        yield ["connect", "AF_PACKET", kind, ["lo", 0]]
        yield ["connect", "AF_INET", kind, [HERE, 0]]
        yield ["connect", "AF_INET6", kind, ["::1", 0]]


def _shell() -> Iterator[Attempt]:
    """Programs that go around the proxy, or ask it for something else."""
    for command in (
        "curl -s --noproxy '*' http://127.0.0.1:{P}/",
        "curl -s --noproxy '*' http://127.0.0.9:{P}/",
        "curl -s -x '' http://127.0.0.1:{P}/",
        "curl -s -p http://127.0.0.1:{P}/",
        "curl -s http://127.0.0.1:{P}/",
        "curl -s http://[::1]:{P}/",
        "curl -s http://2130706433:{P}/ http://0x7f000001:{P}/ http://127.1:{P}/",
        "curl -s --resolve allowed.example:{P}:127.0.0.1 http://allowed.example:{P}/?resolved",
        "curl -s --connect-to allowed.example:{P}:127.0.0.1:{P} http://allowed.example:{P}/",
        "curl -s -p --connect-to ::127.0.0.1:{P} http://allowed.example:{P}/",
        "curl -sL 'http://allowed.example:{P}/?to=http%3A%2F%2F127.0.0.1%3A{P}%2F'",
        "curl -sL 'http://allowed.example:{P}/?to=http%3A%2F%2Fother.example%3A{P}%2F'",
        "curl -sLp 'http://allowed.example:{P}/?to=http%3A%2F%2F%5B%3A%3A1%5D%3A{T}%2F'",
        "curl -s -H 'Host: other.example' http://allowed.example:{P}/?fronted",
        "curl -s --proxy-header 'Host: 127.0.0.1' http://127.0.0.1:{P}/",
        "curl -s --abstract-unix-socket {N} http://allowed.example/",
        "curl -s telnet://127.0.0.1:{T} </dev/null",
        "curl -sm 3 gopher://127.0.0.1:{T}/_x dict://127.0.0.1:{T}/x tftp://127.0.0.1:{T}/x",
        "curl -s --dns-servers 127.0.0.1:{T} --noproxy '*' http://other.example/",
        "git ls-remote http://127.0.0.1:{P}/x.git",
        "git -c http.proxy= ls-remote http://127.0.0.1:{P}/x.git",
        "git ls-remote git://127.0.0.1:{T}/x.git",
        "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -p {T} 127.0.0.1 true",
        "ssh -o ProxyCommand=none -o BatchMode=yes -p {T} 127.0.0.1 true",
        "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -p {T} allowed.example true",
        "echo x >/dev/tcp/127.0.0.1/{P}",
        "echo x >/dev/tcp/::1/{P}",
        "echo x >/dev/udp/127.0.0.1/{T}",
        "getent hosts other.example allowed.example",
        "nsenter -t 1 -n curl -s http://127.0.0.1:{P}/",
        "nsenter --net=/proc/1/ns/net true",
        "unshare -Urn true; ip link set lo up; ip route add default dev lo",
        "cat /proc/1/net/tcp /proc/net/unix; ls -l /proc/[0-9]*/fd; ls /proc/1/root/ /proc/self/ns",
        'for s in $(find / -type s); do curl -s --unix-socket "$s" http://127.0.0.1:{P}/; done',
        "exec 3<>/proc/1/fd/3; echo 'GET / HTTP/1.0' >&3",
        "env -i /usr/bin/curl -s http://127.0.0.1:{P}/ http://127.0.0.9:{P}/",
        "env -i /usr/bin/curl -s http://allowed.example:{T}/",
        "http_proxy=http://127.0.0.1:{P} curl -s http://allowed.example:{P}/",
        "all_proxy=socks5://127.0.0.1:{T} curl -s http://allowed.example:{P}/",
        "no_proxy=127.0.0.1,allowed.example curl -s http://127.0.0.1:{P}/",
        "python3 -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:{P}/\")'",
    ):
        yield ["shell", command]
