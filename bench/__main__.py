"""`python -m bench`: measure everything, or one case, and say plainly which bars are met."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from bench import results
from bench.cases import CASES
from bench.scale import FULL, QUICK, Scale


def main() -> None:
    """Read the arguments, measure, write or print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=CASES, help="one case; printed, not stored")
    parser.add_argument(
        "--record", action="store_true", help="store what is only printed otherwise"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer peers and rounds; printed, not stored"
    )
    parser.add_argument("--peers", action="store_true", help="all peers, also in a first look")
    arguments = parser.parse_args()
    names = [arguments.only] if arguments.only else list(CASES)
    given = [argument for argument in sys.argv[1:] if argument != "--record"]
    command = " ".join(["python -m bench", *given])
    # A first look must not replace the figures of a whole run.
    store = arguments.record or not (arguments.only or arguments.quick)
    scale = replace(QUICK, all_peers=arguments.peers) if arguments.quick else FULL
    asyncio.run(_measure(names, scale, command, store=store))
    sys.stdout.flush()
    # Temporal's core may abort a process that takes its interpreter down (sdk-python#300).
    os._exit(0)


async def _measure(names: Sequence[str], scale: Scale, command: str, *, store: bool) -> None:
    """Store or print each case when it is measured, so that a stopped run keeps its results."""
    for name in names:
        before = results.load()
        section = await CASES[name](scale)
        if store:
            results.record(name, section, command=command, load_before=before)
        else:
            print(results.preview(section, command=command, load_before=before))


if __name__ == "__main__":
    main()
