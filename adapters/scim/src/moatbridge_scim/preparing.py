"""Before anything is sent: what each intent becomes, and whether it still holds.

An update is computed against the target's present record. With ETags the before-image
that came with the intent is that record, and ``If-Match`` proves it; without them the
record is fetched and compared with the before-image first (platforms 19).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Receipt
from moatbridge.entities.scim import parse_owned
from moatbridge.errors import ConfigurationError
from moatbridge_scim import requests
from moatbridge_scim.requests import Request, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.changes import Intent, Record
    from moatbridge_scim.reading import Reader

_WRONG: Final = (ValueError, TypeError, AttributeError, ConfigurationError)
"""What building a request raises for a record of another shape."""

_EMPTY: Final[tuple[Any, ...]] = (None, [], {}, "")


@dataclass(slots=True)
class Job:
    """One intent on its way: requests still to be sent, or its receipt."""

    intent: Intent
    requests: tuple[Request, ...] = ()
    receipt: Receipt | None = None
    resource: Mapping[str, Any] | None = None

    @property
    def ident(self) -> str:
        """The target's id, "" for a create or an unusable ref."""
        ref = self.intent.ref
        found = ref.id if ref is not None and isinstance(ref.id, str) else ""
        return "" if found in {".", ".."} else found

    def end(self, outcome: Any, reason: str, version: str | None = None) -> None:
        """Give the job its receipt."""
        code = f"scim.{reason}" if reason else ""
        self.receipt = Receipt(outcome, self.intent.ref, version, code=code)


def prepare(
    jobs: Sequence[Job], shape: Shape, reader: Reader, *, disable: bool
) -> None:
    """Fill in each job's requests, or its receipt where none is needed.

    Reads at most what is missing, in batches. Raises only what reading raises: nothing
    has been written yet.
    """
    for job in jobs:
        _first(job, shape, disable=disable)
    unknown = [job for job in jobs if _needs_present(job, shape)]
    if not unknown:
        return
    members = not shape.use_patch or any(map(_owns_members, unknown))
    refs = [job.intent.ref for job in unknown if job.intent.ref is not None]
    found = reader.fetch_raw(refs, members=members)
    for job, resource in zip(unknown, found, strict=True):
        _against_present(job, shape, resource, reader, disable=disable)


def _first(job: Job, shape: Shape, *, disable: bool) -> None:
    intent = job.intent
    if intent.op == "create":
        try:
            job.requests = requests.create(intent, shape)
        except _WRONG:
            job.end("rejected", "data")
    elif not job.ident:
        job.end("rejected", "gone")
    elif intent.op == "delete":
        _remove(job, shape, disable=disable)
    elif shape.use_patch and shape.use_etag and intent.before is not None:
        before, version = intent.before, intent.before_version
        _guarded(job, lambda: requests.update(intent, shape, before, version, None))


def _remove(job: Job, shape: Shape, *, disable: bool) -> None:
    version = job.intent.before_version if shape.use_etag else None
    if not disable:
        job.requests = (Request("DELETE", job.ident, version=version),)
    elif not any(field.name == "active" for field in shape.fields):
        job.end("rejected", "no-disable")
    elif shape.use_patch:
        job.requests = requests.disable(job.ident, version)


def _needs_present(job: Job, shape: Shape) -> bool:
    if job.receipt is not None or job.intent.op == "create":
        return False
    if not job.requests:
        return True
    compared = job.intent.before is not None or job.intent.before_version is not None
    return not shape.use_etag and compared


def _against_present(
    job: Job,
    shape: Shape,
    resource: Mapping[str, Any] | None,
    reader: Reader,
    *,
    disable: bool,
) -> None:
    if resource is None:
        job.end(
            *(("applied", "") if job.intent.op == "delete" else ("rejected", "gone"))
        )
        return
    try:
        current = reader.record_of(resource)
    except ValueError:
        job.end("not_applied", "value")
        return
    if _moved(job.intent, current):
        job.end("not_applied", "stale")
    elif job.intent.op == "update":
        _update(job, job.intent, shape, current, resource)
    elif disable and not job.requests:
        _update(job, _disabling(job.intent), shape, current, resource)


def _update(
    job: Job,
    intent: Intent,
    shape: Shape,
    current: Record,
    resource: Mapping[str, Any],
) -> None:
    _guarded(
        job,
        lambda: requests.update(intent, shape, current.data, current.version, resource),
    )
    if job.receipt is None and not job.requests:
        job.end("applied", "", current.version)


def _disabling(intent: Intent) -> Intent:
    return replace(intent, record={"active": False}, owned=("active",))


def _guarded(job: Job, make: Any) -> None:
    try:
        job.requests = make()
    except _WRONG:
        job.end("rejected", "data")


def _moved(intent: Intent, current: Record) -> bool:
    if intent.before_version is not None and current.version is not None:
        return intent.before_version != current.version
    if intent.before is None:
        return False
    before, names = intent.before, {parse_owned(path).field for path in intent.owned}
    return any(not _same(before.get(n), current.data.get(n)) for n in names)


def _same(one: Any, other: Any) -> bool:
    """Whether two values of JSON mean the same; a list's order means nothing.

    A boolean is no number, although Python's ``==`` takes ``True`` for 1.
    """
    if one == other and (one.__class__ is str or repr(one) == repr(other)):
        return True
    if isinstance(one, list) and isinstance(other, list):
        return sorted(map(_canonical, one)) == sorted(map(_canonical, other))
    if one in _EMPTY and other in _EMPTY:
        return True
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        said = [(name, _canonical(value[name])) for name in sorted(value)]
        return f"{{{said}}}"
    if isinstance(value, list):
        return f"[{list(map(_canonical, value))}]"
    if isinstance(value, float) and value.is_integer():
        return repr(int(value))
    return repr(value)


def _owns_members(job: Job) -> bool:
    return any(parse_owned(path).field == "members" for path in job.intent.owned)
