"""The scripted model as a process: `python -m claude.scripted --port 0 [--scripts DIR]`."""

import argparse
from pathlib import Path

from claude.scripted.server import serve


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="claude.scripted", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--scripts", type=Path, help="folder of scripts that prompts may name")
    arguments = parser.parse_args()
    serve(host=arguments.host, port=arguments.port, scripts=arguments.scripts)


if __name__ == "__main__":
    main()
