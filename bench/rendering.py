"""A process that renders one stored report again and again, and says what it took."""

import json
import resource
import sys
import time
from pathlib import Path

from reports.render import render

KIB = 1024


def main() -> None:
    """Render; one line of JSON on stdout."""
    file, name, rounds = sys.argv[1:]
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    seconds, made = [], b""
    for _ in range(int(rounds)):
        began = time.perf_counter()
        made = render(content, name)
        seconds.append(time.perf_counter() - began)
    # The peaks need not have been at once, so their sum is at least what was used.
    peaks = [resource.getrusage(of).ru_maxrss for of in _PROCESSES]
    peak = sum(peaks) * KIB
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "size_bytes": len(made)}), flush=True)


_PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


if __name__ == "__main__":
    main()
