"""A container's seccomp profile: its shape as engines read it, and the filter it means here."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from seccompy import Action, ArgCmp, CmpOp, Filter, arch
from seccompy.syscalls import AARCH64_SYSCALLS, X86_64_SYSCALLS

Operator = Literal["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT"]

TABLES = {"x86_64": X86_64_SYSCALLS, "aarch64": AARCH64_SYSCALLS}


class Part(BaseModel):
    """Fields as moby/profiles `seccomp.go` and the OCI runtime specification name them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Argument(Part):
    """One condition on an argument."""

    index: Annotated[int, Field(ge=0, le=5)]
    value: Annotated[int, Field(ge=0, lt=2**64)]
    op: Operator


class SyscallRule(Part):
    """What happens to some calls; several conditions on one rule must hold together."""

    names: Annotated[Sequence[str], Field(min_length=1)]
    action: Literal["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"]
    args: Sequence[Argument] = ()
    errno_ret: Annotated[int, Field(alias="errnoRet")] = 1
    comment: str = ""


class Architecture(Part):
    """A processor, and its older instruction sets that may be called too."""

    architecture: Literal["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
    sub_architectures: Annotated[Sequence[str], Field(alias="subArchitectures")]


class Profile(Part):
    """A whole profile: what no rule names fails."""

    default_action: Annotated[Literal["SCMP_ACT_ERRNO"], Field(alias="defaultAction")]
    default_errno: Annotated[int, Field(alias="defaultErrnoRet")]
    architectures: Annotated[Sequence[Architecture], Field(alias="archMap")]
    syscalls: Sequence[SyscallRule]

    def allowed(self) -> set[str]:
        """Calls that some rule allows, under a condition or without."""
        allowing = (r for r in self.syscalls if r.action == "SCMP_ACT_ALLOW")
        return {name for rule in allowing for name in rule.names}

    def filter(self) -> Filter:
        """The filter for this processor, to be loaded by the calling process."""
        known = TABLES[arch()]
        made = Filter(int(Action.ERRNO) | self.default_errno)
        for rule in self.syscalls:
            conditions = [
                ArgCmp(a.index, CmpOp[a.op.removeprefix("SCMP_CMP_")], a.value) for a in rule.args
            ]
            for name in known.keys() & set(rule.names):
                if rule.action == "SCMP_ACT_ALLOW":
                    made.allow(name, args=conditions)
                else:
                    made.errno(name, rule.errno_ret, args=conditions)
        return made
