"""Long work of a company in the background, one at a time, and how far it is."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from commons import bridges
from moatbridge import MoatbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge import Bridge

FLOW = "people"
_log = logging.getLogger("commons")
_jobs: dict[str, Job] = {}
_lock = threading.Lock()


@dataclass
class Job:
    """One piece of work.

    Args:
        kind: ``plan`` or ``apply``.
        who: Who asked for it.
        done: Records that are through.
        all: Of how many; 0 while that is not known.
        ended: Set when it is over.
        result: A `Plan` or a `RunResult`.
        problem: Why it failed, for people.
        digest: Of the plan that is carried out.
    """

    kind: str
    who: str
    done: int = 0
    all: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    problem: str = ""
    digest: str = ""

    @property
    def over(self) -> bool:
        """It is neither waiting nor running."""
        return self.ended.is_set()

    def tell(self, done: int, every: int) -> None:
        """Called by the bridge as it goes."""
        self.done, self.all = done, every


def of(company: str) -> Job | None:
    """The newest work of a company."""
    return _jobs.get(company)


def busy(company: str) -> bool:
    """Whether something is still going on."""
    job = _jobs.get(company)
    return job is not None and not job.over


def forget(company: str) -> None:
    """What was planned holds no more: the connection has changed."""
    with _lock:
        if not busy(company):
            _jobs.pop(company, None)


def plan(company: str, who: str) -> None:
    """Work out what would happen. Nothing is written to the product."""

    def work(bridge: Bridge, job: Job) -> Any:
        return bridge.plan(FLOW, actor=who, progress=job.tell)

    _start(company, Job("plan", who), work)


def apply(company: str, who: str, digest: str, confirm: int | None) -> None:
    """Carry out the plan that somebody looked at and agreed to."""

    def work(bridge: Bridge, job: Job) -> Any:
        return bridge.apply(
            digest, flow=FLOW, actor=who, confirm=confirm, progress=job.tell
        )

    _start(company, Job("apply", who, digest=digest), work)


def _start(company: str, job: Job, work: Callable[[Bridge, Job], Any]) -> None:
    with _lock:
        if busy(company):
            return
        _jobs[company] = job
    threading.Thread(target=_run, args=(company, job, work), daemon=True).start()


def _run(company: str, job: Job, work: Callable[[Bridge, Job], Any]) -> None:
    try:
        job.result = work(bridges.bridge(company), job)
    except MoatbridgeError as error:
        job.problem = error.message  # made for people; it never holds a value
    except Exception as error:  # noqa: BLE001 - a page must not wait for ever
        _log.error(
            "work of company %s failed: %s", company, type(error).__name__
        )  # a traceback may hold values
        job.problem = "Something went wrong on our side. We have been told."
    finally:
        job.ended.set()
