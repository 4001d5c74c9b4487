"""The audit log's rows as clients see them."""

from fastapi import Request

from api import links
from api.schemas.audit import AuditRead, BreakRead, HeadMismatch, SealRead, VerificationRead
from persistence.audit import Told
from persistence.audit_chain import Verification
from persistence.tables.audit import AuditSealRow

_ROW = tuple(f for f in AuditRead.model_fields if f not in {"links", "actor", "seal"})


def entry(told: Told) -> AuditRead:
    """An entry with its seal."""
    values = {field: getattr(told.row, field) for field in _ROW}
    path = links.audit(told.row.id)
    return AuditRead(**values, actor=told.actor, seal=_seal(told.seal), links=path)


def verification(
    request: Request, found: Verification, mismatch: HeadMismatch | None
) -> VerificationRead:
    """What a verification found, with the way to the next part."""
    path = request.url.path
    addresses = {"self": f"{path}?from_seq={found.from_seq}"}
    if found.next_seq is not None:
        addresses["next"] = f"{path}?from_seq={found.next_seq}"
    broken = found.broken
    return VerificationRead(
        is_intact=broken is None and mismatch is None,
        from_seq=found.from_seq,
        to_seq=found.to_seq,
        verified=max(0, found.to_seq - found.from_seq + 1),
        next_from_seq=found.next_seq,
        broken=broken
        and BreakRead(fault=broken.fault.value, seq=broken.seq, audit_id=broken.audit_id),
        head=_seal(found.head),
        head_mismatch=mismatch,
        unsealed=found.unsealed,
        links=addresses,
    )


def _seal(row: AuditSealRow | None) -> SealRead | None:
    return row and SealRead(seq=row.seq, hash=row.hash.hex(), sealed_at=row.sealed_at)
