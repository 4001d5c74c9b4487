"""System calls that are not allowed in the sandbox.

Namespaces, dropped capabilities and `no_new_privs` forbid most of them already; the filter also
protects against kernel faults in one of them. The list is the inverse of Docker's default profile
(moby/profiles, 2026): calls are allowed unless listed, so that ordinary programs work.
"""

import errno

from seccompy import ArgCmp, CmpOp, Filter, bpf

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
)

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
    for name in _FORBIDDEN:
        rules.errno(name, errno.EPERM)
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
    others = (ArgCmp(0, CmpOp.NE, f) for f in (_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK))
    rules.errno("socket", errno.EAFNOSUPPORT, args=list(others))
    return _without_x32() + rules.program


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
