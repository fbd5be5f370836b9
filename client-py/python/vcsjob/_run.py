"""Runs jobs one by one: a clean environment, a terminal, a log, and an end. (Equipment 6.3, 6.4.)"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Optional

from ave.exceptions import AveException
from vcsjob._environment import GUID, LOG_PATH, PROFILES
from vcsjob._process import run
from vcsjob._status import NORUN, OK, worst
from vcsjob._tree import Job, Place, check, load_jobs


def execute_job(
    jobs_dir: Place,
    job: Job,
    env: Sequence[str] = (),
    log_path: Optional[Place] = None,
    guid: Optional[str] = None,
) -> int:
    """Runs one job to its end.

    :arg jobs_dir: The root of its tree.
    :arg job: What ``load_jobs`` returned for it.
    :arg env: The names of variables it may see, beside ``LANG``. The caller's environment is not touched.
    :arg log_path: The file for its output, which is emptied first; by default standard error.
    :arg guid: The id of this run, for the job's ``get_guid``.
    :returns: The job's own status; KILLED if a signal ended it, TIMEOUT if it ran longer than its
        ``duration``, NORUN if it could not be started. Nothing of its process group is left.
    :raises AveException: ``environment variable "X" is not set``, or the job is not fit to run.
    """
    checked, seen = check(Path(jobs_dir), job), _allowed(env)
    with _log(log_path) as log:
        return _execute(Path(jobs_dir), checked, seen, log, log_path, guid)


def execute_single(
    jobs_dir: Place,
    path: str,
    env: Sequence[str] = (),
    log_path: Optional[Place] = None,
    guid: Optional[str] = None,
) -> int:
    """Runs the job with a certain path. Obsolete: ``load_jobs`` and ``execute_job`` do the same.

    :arg path: The path of the job in ``.vcsjob``; the rest is as in ``execute_job``.
    :returns: The job's status.
    :raises AveException: The tree has no such job, and as ``execute_job``.
    """
    for job in load_jobs(jobs_dir):
        if job["path"] == path:
            return execute_job(jobs_dir, job, env, log_path, guid)
    raise AveException(f"no such job: {path}")


def execute_tags(
    jobs_dir: Place,
    tags: Optional[Sequence[str]] = None,
    env_vars: Sequence[str] = (),
    log_path: Optional[Place] = None,
    job_status: bool = False,
) -> int:
    """Runs all jobs that have every one of these tags, one after the other, with one log.

    :arg tags: By default every job is run; the rest is as in ``execute_job``.
    :arg job_status: Return what became of the jobs: the worst status. BUSY counts as the worst.
    :returns: OK if a job ran, whatever it returned; NORUN if none has these tags.
    :raises AveException: As ``load_jobs`` and ``execute_job``.
    """
    jobs, seen = load_jobs(jobs_dir, tags), _allowed(env_vars)
    with _log(log_path) as log:
        if not jobs:
            _say(log, "no jobs were executed")
            return NORUN
        statuses = [_execute(Path(jobs_dir), job, seen, log, log_path, None) for job in jobs]
    return worst(statuses) if job_status else OK


def _execute(
    root: Path, job: Job, seen: Mapping[str, str], log: BinaryIO, log_path: Optional[Place], guid: Optional[str]
) -> int:
    program = os.path.abspath(root / job["path"])
    inputs = {
        PROFILES: None if job["profiles"] is None else json.dumps(job["profiles"]),
        LOG_PATH: None if log_path is None else os.fspath(log_path),
        GUID: guid,
    }
    environment = {**seen, **{name: value for name, value in inputs.items() if value is not None}}
    header: dict[str, Any] = {"environment": seen, "exe": program, "guid": guid, "profiles": job["profiles"]}
    _say(log, json.dumps(header, sort_keys=True))
    try:
        return run(program, environment, log, job["duration"] or None)
    except OSError as error:
        _say(log, f"could not start {program}: {error}")
        return NORUN


def _allowed(names: Sequence[str]) -> dict[str, str]:
    if isinstance(names, str):
        raise AveException(f"environment variables must be a list of names, found {names!r}")
    for name in names:
        if name not in os.environ:
            raise AveException(f'environment variable "{name}" is not set')
    return {name: os.environ[name] for name in (*names, "LANG") if name in os.environ}


def _log(path: Optional[Place]) -> AbstractContextManager[BinaryIO]:
    if path is None:
        sys.stderr.flush()
        return open(2, "wb", closefd=False)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        open(path, "wb").close()
        return open(path, "ab")  # what the job itself adds to the file is kept
    except OSError as error:
        raise AveException(f"could not write log {os.fspath(path)}: {error.strerror}") from None


def _say(log: BinaryIO, text: str) -> None:
    log.write(f"vcsjob: {text}\n".encode("utf-8", "backslashreplace"))
    log.flush()
