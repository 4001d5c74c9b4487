"""Replaces itself by another program, which ends with the process that started it.

Run as `python -I -S launch.py PARENT_PID DEATH_SIGNAL IDENTITY COMMAND...`: a fresh process with
one thread, in which code between fork and exec is safe (unlike `preexec_fn`). It imports only the
standard library, so that it starts in 10 ms.
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
    """Appear as another user: Postgres refuses root, and users without a name."""
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER) was refused")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1", encoding="ascii")


def drop_root() -> None:
    """Drop root for good."""
    user = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def die_with_parent(parent: int, death_signal: int) -> None:
    """Have the kernel send `death_signal` when the parent ends. Linux only.

    Elsewhere, the next `perdure up` ends what a killed supervisor left running.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:  # it died while we were starting
        sys.exit(ORPHANED)


def main(arguments: list[str]) -> None:
    """Prepare the process and replace it by the command."""
    parent, death_signal, identity, *command = arguments
    if identity == NAMESPACE:
        enter_user_namespace()
    elif identity == AS_NOBODY:
        drop_root()
    die_with_parent(int(parent), int(death_signal))  # last: a change of user clears it
    os.execvp(command[0], command)  # noqa: S606 - this is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
