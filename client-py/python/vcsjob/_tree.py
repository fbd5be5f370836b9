"""What a tree of jobs holds: reads its ``.vcsjob`` and checks every word of it. (Equipment 6.2.)"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

from ave.exceptions import AveException
from vcsjob._environment import check_profiles

#: A job as its tree describes it.
Job = dict[str, Any]
#: Where something lies.
Place = Union[str, "os.PathLike[str]"]

NAME = ".vcsjob"
#: Far more than any tree of jobs needs; a file of this size is a mistake.
FILE_BYTES_MAX = 16 << 20

_DEFAULTS: Job = {
    "tags": [],
    "banner": "",
    "profiles": None,
    "coverage": None,
    "dirty": False,
    "virgin": False,
    "duration": None,
}


def list_jobs(jobs_dir: Place, tags: Optional[Sequence[str]] = None) -> list[str]:
    """Says which jobs a tree has.

    :arg jobs_dir: The root of the tree, where ``.vcsjob`` is.
    :arg tags: Only jobs that have every one of these; by default all.
    :returns: Their paths in the tree, in the order of the file.
    :raises AveException: As ``load_jobs``.
    """
    return [job["path"] for job in load_jobs(jobs_dir, tags)]


def load_jobs(jobs_dir: Place, tags: Optional[Sequence[str]] = None) -> list[Job]:
    """Reads what a tree says of its jobs.

    :arg jobs_dir: The root of the tree, where ``.vcsjob`` is.
    :arg tags: Only jobs that have every one of these; by default all.
    :returns: One dictionary for each, with ``path`` and all other keys, in the order of the file.
    :raises AveException: ``not a jobs directory``, ``could not load``, or what is wrong with which job, also
        if it is one that was not asked for. (Equipment 6.2.)
    """
    if isinstance(tags, str):
        raise AveException(f"tags must be a list, found {tags!r}")
    root = Path(jobs_dir)
    if not root.is_dir():
        raise AveException(f"not a jobs directory: {root}")
    file = root / NAME
    loaded = _load(file)
    entries = loaded.get("executables") if isinstance(loaded, dict) else None
    if not isinstance(entries, list):
        raise AveException(f'could not load {file}: "executables" is missing or not a list')
    jobs = []
    for index, entry in enumerate(entries):
        try:
            jobs.append(check(root, entry))
        except AveException as error:
            raise AveException(f"{file}: executables[{index}]: {error.message}") from None
    return [job for job in jobs if set(tags or ()) <= set(job["tags"])]


def check(root: Path, entry: object) -> Job:
    """Refuses what is no description of a job in this tree.

    :returns: The description with what was left out.
    :raises AveException: What is wrong with it.
    """
    if not isinstance(entry, dict):
        raise AveException(f"job is not a dictionary: {entry!r}")
    if "path" not in entry:
        raise AveException('job does not have the "path" attribute')
    job = {**_DEFAULTS, **entry}
    locate(root, job["path"])
    if not _texts(job["tags"]):
        raise AveException('"tags" attribute is not a list of strings')
    if not isinstance(job["banner"], str):
        raise AveException('"banner" attribute must be a string')
    if job["profiles"] is not None:
        check_profiles(job["profiles"])
    if job["coverage"] is not None and not _texts(job["coverage"]):
        raise AveException('"coverage" attribute is not a list of strings')
    for name in ("dirty", "virgin"):
        if not isinstance(job[name], bool):
            raise AveException(f'"{name}" attribute is not a boolean value')
    duration = job["duration"]
    if duration is not None and (isinstance(duration, bool) or not isinstance(duration, int)):
        raise AveException('"duration" attribute is not an integer')
    if duration is not None and duration < 0:
        raise AveException(f'"duration" attribute is negative: {duration}')
    return job


def locate(root: Path, path: object) -> Path:
    """Finds a job's program, wherever links lead.

    :returns: Its path below ``root``.
    :raises AveException: It is not a program inside the tree.
    """
    if not isinstance(path, str):
        raise AveException(f'"path" attribute is not a string: {path!r}')
    if os.path.isabs(path):
        raise AveException(f"job path is not relative: {path}")
    program = root / path
    try:
        inside = program.resolve().is_relative_to(root.resolve())
        mode = program.stat().st_mode if inside else 0
    except (OSError, ValueError, RuntimeError):  # absent, a NUL, half a character, links in a circle
        raise AveException(f"no such file: {path!r}") from None
    if not inside:
        raise AveException(f"job path is not inside the job tree: {path}")
    if not stat.S_ISREG(mode):
        raise AveException(f"not a regular file: {path}")
    if not os.access(program, os.X_OK):
        raise AveException(f"file is not executable: {path}")
    return program


def _load(file: Path) -> Any:
    try:
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:  # a pipe must not block
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise ValueError("not a regular file")
            content = opened.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise ValueError(f"longer than {FILE_BYTES_MAX} bytes")
        return json.loads(content.decode())
    except (OSError, ValueError, RecursionError) as error:
        raise AveException(f"could not load {file}: {error}") from None


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
