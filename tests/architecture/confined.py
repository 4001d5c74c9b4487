"""A process as the worker's container makes it: no root, no capability, under our profile.

`python -m tests.architecture.confined PROFILE WORKSPACES` runs a command in the sandbox and prints
why that can't be done, or nothing. A process of its own, since a filter can't be taken off again.
"""

import asyncio
import os
import sys
from pathlib import Path

from tests.architecture.seccomp_profile import Profile
from tools.toolbox import Toolbox

USER = 10001  # the image's


def main() -> None:
    profile = Profile.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    workspaces = Path(sys.argv[2])
    if os.geteuid() == 0:
        os.chown(workspaces, USER, USER)
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    profile.filter().load()
    toolbox = Toolbox(workspaces, host_id="container", sandbox="bubblewrap")
    print(asyncio.run(toolbox.probe()) or "", end="")  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
