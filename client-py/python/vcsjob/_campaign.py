"""Several jobs after each other, and those that found their equipment busy again. (Equipment 6.5.)"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from typing import Any

from vcsjob._run import execute_job
from vcsjob._status import BUSY, exit_to_str, worst
from vcsjob._tree import Job, Place

#: The first pause before busy jobs are run again; each further one is twice as long.
PAUSE_FIRST_S = 1.0
#: No pause is longer.
PAUSE_MAX_S = 60.0


class Campaign:
    """The jobs of one ``vcsjob execute`` and what became of them."""

    def __init__(self, jobs_dir: Place, jobs: Sequence[Job], env: Sequence[str], watched: bool) -> None:
        """:arg watched: Whether a person sees standard error and wants to know how far it is."""
        self._jobs_dir = jobs_dir
        self._jobs = jobs
        self._env = env
        self._watched = watched
        self._statuses = [BUSY] * len(jobs)
        self._attempts = [0] * len(jobs)

    def run(self, retry_s: float) -> None:
        """Runs all jobs, and the busy ones again until this many seconds have passed."""
        deadline = time.monotonic() + retry_s
        self._round(range(len(self._jobs)))
        pause_s = PAUSE_FIRST_S
        while busy := [index for index, status in enumerate(self._statuses) if status == BUSY]:
            wait_s = pause_s * random.uniform(0.5, 1.0)  # many who wait do not come at the same moment
            if time.monotonic() + wait_s > deadline:
                return
            self._announce(len(busy), wait_s)
            time.sleep(wait_s)
            self._round(busy)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    def worst(self) -> int:
        """The status of the job that went worst; there must be one."""
        return worst(self._statuses)

    def results(self) -> list[dict[str, Any]]:
        """What became of each job: ``path``, ``status``, its ``name`` or null, and how many ``attempts``."""
        return [
            {"path": job["path"], "status": status, "name": _name(status), "attempts": attempts}
            for job, status, attempts in zip(self._jobs, self._statuses, self._attempts)
        ]

    def _round(self, indices: Sequence[int]) -> None:
        for place, index in enumerate(indices, 1):
            path = self._jobs[index]["path"]
            self._progress(f"[{place}/{len(indices)}] {path}")
            begun = time.monotonic()
            status = execute_job(self._jobs_dir, self._jobs[index], self._env)
            self._statuses[index] = status
            self._attempts[index] += 1
            took_s = time.monotonic() - begun
            self._progress(f"[{place}/{len(indices)}] {path}: {_name(status) or status} after {took_s:.1f} s")

    def _progress(self, text: str) -> None:
        if self._watched:
            print(f"vcsjob: {text}", file=sys.stderr, flush=True)

    def _announce(self, count: int, wait_s: float) -> None:
        at = time.strftime("%H:%M:%S", time.localtime(time.time() + wait_s))
        jobs = "1 job is" if count == 1 else f"{count} jobs are"
        print(f"vcsjob: {jobs} busy; next try in {wait_s:.1f} s, at {at}", file=sys.stderr, flush=True)


def _name(status: int) -> Any:
    return exit_to_str(status) if 0 <= status <= 9 else None
