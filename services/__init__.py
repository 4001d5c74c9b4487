"""Use cases: one function and one transaction per verb, called by every surface.

Most services raise these errors; their docstrings name only others:

- `NotFoundError`: an object does not exist or is deleted.
- `PermissionDeniedError`: an object belongs to another user, or a field needs an admin.
- `InvalidInputError`: the input is invalid; the error names each field.
- `DuplicateNameError`: the owner has another object with this name.
- `PreconditionFailedError`: the object has changed since the caller read it.
- `QuotaExceededError`: the user has reached a quota.
"""
