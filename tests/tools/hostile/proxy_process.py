"""The process of the proxy, with the name server of the traps."""

from functools import partial

from runtime.egress import process
from runtime.network import NetworkGuard
from tests.tools.hostile.traps import Traps

if __name__ == "__main__":
    vars(process)["NetworkGuard"] = partial(NetworkGuard, resolve=Traps().resolve)
    process.main()
