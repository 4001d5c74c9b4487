"""Attempts to reach a host that the network of a task does not allow.

`{P}` is the port of the allowed host allowed.example, `{T}` the port of a trap, `{O}` a port of
Perdure itself. Traps listen at 127.0.0.1 and ::1 with {P} and {T}, and at the address of the
allowed host with {T} and {O}. Every name that is not listed here has the address 127.0.0.1.
"""

ALLOWED = ("allowed.example:{P}", "*.wild.example:{P}", "rebind.example:{P}", "own.example:{O}")
"""The list of the task. The operator allows every name, and the address of the allowed host."""

OTHER_HOSTS = (
    "other.example:{P}", "example:{P}", "allowed.example.other.example:{P}",
    "notallowed.example:{P}", "allowed-example:{P}", "wild.example:{P}", "evilwild.example:{P}",
    "wild.example.other.example:{P}", "allowed.example.:{T}", "allowed.example:{T}",
    "allowed.example:22", "allowed.example", "allowed.example:443", "x.wild.example:{T}",
)  # fmt: skip

ADDRESSES = (
    "127.0.0.1:{P}", "127.0.0.1:{T}", "127.1:{P}", "127.0.1:{P}", "2130706433:{P}", "0:{P}",
    "0177.0.0.1:{P}", "0177.0.0.01:{P}", "017700000001:{P}", "0x7f.0.0.1:{P}", "0x7f000001:{P}",
    "0x7F.1:{P}", "127.0.0.1.:{P}", "127.000.000.001:{P}", "00000127.0.0.1:{P}", "0.0.0.0:{P}",
    "127.0.0.2:{P}", "[::1]:{P}", "[::]:{P}", "[0:0:0:0:0:0:0:1]:{P}", "[::ffff:127.0.0.1]:{P}",
    "[::ffff:7f00:1]:{P}", "[::127.0.0.1]:{P}", "[64:ff9b::127.0.0.1]:{P}",
    "[2002:7f00:1::1]:{P}", "[::1%lo]:{P}", "[::1%25lo]:{P}", "[fe80::1%25lo]:{P}",
    "localhost:{P}", "LOCALHOST:{P}", "localhost.:{P}", "localhost.localdomain:{P}",
    "ip6-localhost:{P}", "127.0.0.1.nip.example:{P}", "169.254.169.254", "metadata.google.internal",
    "\uff11\uff12\uff17.0.0.1:{P}", "\u2460\u2461\u2466.0.0.1:{P}", "127\u30020\u30020\u30021:{P}",
    "127%2e0%2e0%2e1:{P}",
    "%31%32%37.0.0.1:{P}", "127.0.0.1%00.allowed.example:{P}", "[127.0.0.1]:{P}",
)  # fmt: skip

LOOK_ALIKES = (
    "\u0430llowed.example:{P}",  # a Cyrillic letter
    "xn--llowed-4nf.example:{P}",  # the same in ASCII
    "allowed.ex\u0430mple:{P}", "\uff41llowed.example:{T}", "allowed\u3002example:{T}",
    "allowed.example\u200d:{P}", "al\u00adlowed.other:{P}", "allowed.example\u2024other:{P}",
    "allowed.example\u2100:{P}", "\ufb00.example:{P}",
)  # fmt: skip

REBINDING = ("rebind.example:{P}",)
"""Allowed, but its name server answers with the address of the allowed host only once."""

OWN_PORTS = ("own.example:{O}", "allowed.example:{O}", "own.example.:{O}")

USERINFO = (
    "allowed.example@127.0.0.1:{P}", "allowed.example:{P}@127.0.0.1:{P}",
    "allowed.example%3A{P}@127.0.0.1:{P}", "allowed.example:{P}\\@127.0.0.1:{P}",
    "127.0.0.1:{P}\\@allowed.example:{P}", "127.0.0.1:{P}\\.allowed.example:{P}",
    "127.0.0.1:{P}?@allowed.example:{P}", "127.0.0.1:{P}#@allowed.example:{P}",
    "127.0.0.1:{P}/@allowed.example:{P}", "127.0.0.1:{P};@allowed.example:{P}",
    "allowed.example:{P} 127.0.0.1:{P}", "127.0.0.1:{P}\tallowed.example:{P}",
    "127.0.0.1:{P}\r\nHost: allowed.example", "allowed.example:{P}:{T}", "allowed.example::{T}",
    "allowed.example:+{T}", "allowed.example:0{T}", "allowed.example:{T}0000", "allowed.example:-1",
)  # fmt: skip

HOSTS = (*OTHER_HOSTS, *ADDRESSES, *LOOK_ALIKES, *OWN_PORTS, *USERINFO)
URLS = (
    *(f"http://{host}/" for host in HOSTS),
    *(f"https://{host}/" for host in ("127.0.0.1:{P}", "other.example:{P}", "[::1]:{T}")),
    *("//127.0.0.1:{P}/", "ftp://allowed.example:{P}/", "file:///etc/passwd"),
    *("gopher://127.0.0.1:{T}/_x", "dict://127.0.0.1:{T}/x", "ws://allowed.example:{T}/"),
    *("unix:///tmp/socket", "http+unix://%2ftmp%2fsocket/", "jar:http://127.0.0.1:{P}!/x"),
)
"""What the tools are asked for, and what a page of the allowed host redirects to."""

RELATIVE = (
    "http:127.0.0.1:{P}", "http:///127.0.0.1:{P}/", "http:/127.0.0.1:{P}/",
    "http:\\\\127.0.0.1:{P}\\", "\\\\127.0.0.1:{P}\\", "/\\127.0.0.1:{P}/",
)  # fmt: skip
"""No URLs; in a redirect, they are paths of the same host (RFC 3986)."""
