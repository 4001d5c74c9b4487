"""A process that renders one stored report again and again, and says what it took."""

import json
import sys
import time
from pathlib import Path

from reports.render import render


def main() -> None:
    """Render; one line of JSON on stdout."""
    file, name, rounds = sys.argv[1:]
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    seconds, made = [], b""
    for _ in range(int(rounds)):
        began = time.perf_counter()
        made = render(content, name)
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds, "size_bytes": len(made)}), flush=True)


if __name__ == "__main__":
    main()
