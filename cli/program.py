"""How this program is called, for the commands in its texts."""

import os
import shutil
import sys
from functools import cache
from pathlib import Path


@cache
def program() -> str:
    """`perdure` where the shell finds it, else the path by which it was started."""
    started = Path(sys.argv[0])
    if started.name != "perdure" or shutil.which("perdure"):
        return "perdure"
    return min(os.path.relpath(started), str(started), key=len)
