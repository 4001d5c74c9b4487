"""System calls that are not allowed in the sandbox.

Namespaces, dropped capabilities and `no_new_privs` forbid most of them already; the filter also
protects against kernel faults in one of them. The list is the inverse of Docker's default profile
(moby/profiles, 2026): calls are allowed unless listed, so that ordinary programs work.
"""

import errno
import os
import stat

from seccompy import ArgCmp, CmpOp, Filter, bpf, syscall_nr

_FORBIDDEN = (
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    # mounts and namespaces
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "move_mount", "open_tree"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    # the kernel itself
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
    *("swapon", "swapoff", "acct", "quotactl", "syslog", "settimeofday", "clock_settime"),
    *("adjtimex", "clock_adjtime", "sethostname", "setdomainname", "vhangup", "lookup_dcookie"),
    # large and often faulty interfaces
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter"),
    *("io_uring_register", "fanotify_init", "open_by_handle_at", "name_to_handle_at"),
    # keyrings are not namespaced by pid
    *("add_key", "request_key", "keyctl"),
    # memory that no limit counts, and on which node it is
    *("memfd_secret", "mbind", "set_mempolicy", "migrate_pages", "move_pages"),
)

_FORBIDDEN_ON_X86 = ("modify_ldt",)

_MODES = (("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2), ("mknodat", 2), ("mkdirat", 2))
_MODES_ON_X86 = (("chmod", 1), ("mknod", 1), ("mkdir", 1), ("creat", 1))
_OPEN, _OPEN_ON_X86 = (("openat", 2),), (("open", 1),)
"""Calls that set the mode of a file, and the argument with the mode, or with the flags of open."""

_TMPFILE = os.O_TMPFILE & ~os.O_DIRECTORY
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF, 2**64 - 1)
"""As in Docker's profile; others switch protections off, such as random addresses."""

_SHM_SEGMENT_BYTES = 64 * 1024
"""Size of a segment of System V shared memory. No process has to hold it, and there may be 4,096:
256 MiB, as much as in /tmp. Postgres needs 56 bytes (chosen)."""

_CLONE_NEWUSER = 0x10000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_X32_BIT = 0x40000000
_SYSCALL_NUMBER_OFFSET = 0
_ERRNO = 0x00050000


def program() -> bytes:
    """The filter as classic BPF, for `bwrap --seccomp`.

    Raises:
        seccompy.UnsupportedError: on a processor other than x86_64 and aarch64.
    """
    rules = Filter()
    for name in (*_FORBIDDEN, *filter(_is_known, _FORBIDDEN_ON_X86)):
        rules.errno(name, errno.EPERM)
    _forbid_set_id(rules)
    _forbid_uncounted_memory(rules)
    others = [ArgCmp(0, CmpOp.NE, allowed) for allowed in _PERSONALITIES]
    rules.errno("personality", errno.EPERM, args=others)
    rules.errno(
        "clone",
        errno.EPERM,
        args=[ArgCmp(0, CmpOp.MASKED_EQ, _CLONE_NEWUSER, mask=_CLONE_NEWUSER)],
    )
    # A filter can't read its flags, which are behind a pointer; libc falls back to clone.
    rules.errno("clone3", errno.ENOSYS)
    # Would type into the terminal in which the worker was started.
    for request in (_TIOCSTI, _TIOCLINUX):
        low_word = ArgCmp(1, CmpOp.MASKED_EQ, request, mask=0xFFFFFFFF)
        rules.errno("ioctl", errno.EPERM, args=[low_word])
    # vsock and others ignore network namespaces and would reach the host of a virtual machine.
    others = [ArgCmp(0, CmpOp.NE, f) for f in (_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK)]
    rules.errno("socket", errno.EAFNOSUPPORT, args=others)
    return _without_x32() + rules.program


def _forbid_set_id(rules: Filter) -> None:
    """Forbid setuid and setgid files.

    With one in a directory of the host, a local user could act as the user of the commands.
    """
    for bit in (stat.S_ISUID, stat.S_ISGID):
        for name, position in (*_MODES, *(m for m in _MODES_ON_X86 if _is_known(m[0]))):
            rules.errno(name, errno.EPERM, args=[_has_bits(position, bit)])
        for name, flags in (*_OPEN, *(o for o in _OPEN_ON_X86 if _is_known(o[0]))):
            for creating in (os.O_CREAT, _TMPFILE):  # otherwise the mode is not read
                created = [_has_bits(flags, creating), _has_bits(flags + 1, bit)]
                rules.errno(name, errno.EPERM, args=created)
    # A filter can't read its mode, which is behind a pointer; libc does not use it.
    rules.errno("openat2", errno.ENOSYS)


def _forbid_uncounted_memory(rules: Filter) -> None:
    """Forbid memory that belongs to no process, which the limit of a command does not count."""
    rules.errno("memfd_create", errno.ENOSYS)
    size = ArgCmp(1, CmpOp.GT, _SHM_SEGMENT_BYTES)
    rules.errno("shmget", errno.ENOMEM, args=[size])


def _has_bits(position: int, bits: int) -> ArgCmp:
    return ArgCmp(position, CmpOp.MASKED_EQ, bits, mask=bits)


def _is_known(name: str) -> bool:
    """Whether this processor has the call: newer ones have only `openat`, not `open`."""
    try:
        syscall_nr(name)
    except ValueError:
        return False
    return True


def _without_x32() -> bytes:
    """Instructions that refuse x32 calls, whose separate numbers no rule contains."""
    return bpf.assemble(
        [
            bpf.Load(_SYSCALL_NUMBER_OFFSET),
            bpf.Jump(bpf.BPF_JGEQ, _X32_BIT, None, "native"),
            bpf.Ret(_ERRNO | errno.ENOSYS),
        ],
        {"native": 3},
    )
