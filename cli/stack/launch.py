"""Becomes another program, tied to the life of the one that asked for it.

Run as `python -I -S launch.py PARENT_PID DEATH_SIGNAL IDENTITY COMMAND...`: a fresh process with
one thread, so nothing of the supervisor's state is at risk between fork and exec (which is what
`preexec_fn` can't promise). Standard library only, and nothing of ours: it starts in 10 ms.
"""

import ctypes
import os
import pwd
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
CLONE_NEWUSER = 0x10000000  # linux/sched.h
NOBODY = 65534
ORPHANED = 71  # EX_OSERR of sysexits.h: the parent died before we could watch it

SELF = "self"
NAMESPACE = "namespace"
AS_NOBODY = "nobody"


def enter_user_namespace() -> None:
    """Look like `nobody` from inside and keep our files: Postgres refuses root and the nameless."""
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER) was refused")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1", encoding="ascii")


def become_nobody() -> None:
    """Drop root for good."""
    user = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def die_with_parent(parent: int, death_signal: int) -> None:
    """Ask the kernel to send `death_signal` when the parent is gone. Linux only.

    Elsewhere what a killed supervisor leaves behind is ended by the next `perdure up`.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:  # it died while we were starting
        sys.exit(ORPHANED)


def main(arguments: list[str]) -> None:
    """Set the process up and become the command."""
    parent, death_signal, identity, *command = arguments
    if identity == NAMESPACE:
        enter_user_namespace()
    elif identity == AS_NOBODY:
        become_nobody()
    die_with_parent(int(parent), int(death_signal))  # last: a change of user clears it
    os.execvp(command[0], command)  # noqa: S606 - becoming that program is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
