"""Runs test jobs, and is how a job and the scheduler that runs it understand each other.

A job exits with one of these statuses and finds its inputs in the environment; see the manual's first
rule of correct usage. A scheduler fetches a tree of jobs, asks what is in it, and runs them in a clean
environment. The command ``vcsjob`` does the same for people. (Specification 2.6, equipment 6.)

>>> import vcsjob
>>> vcsjob.exit_to_str(vcsjob.BUSY)
'vcsjob.BUSY'
"""

from vcsjob._environment import get_guid, get_log_path, get_profiles, set_guid, set_profiles
from vcsjob._fetch import fetch
from vcsjob._run import execute_job, execute_single, execute_tags
from vcsjob._status import (
    BLOCKED,
    BUSY,
    ERROR,
    FAILURES,
    KILLED,
    NOFETCH,
    NOLIST,
    NORUN,
    OK,
    TIMEOUT,
    exit_to_str,
)
from vcsjob._tree import list_jobs, load_jobs

__all__ = [
    "BLOCKED",
    "BUSY",
    "ERROR",
    "FAILURES",
    "KILLED",
    "NOFETCH",
    "NOLIST",
    "NORUN",
    "OK",
    "TIMEOUT",
    "execute_job",
    "execute_single",
    "execute_tags",
    "exit_to_str",
    "fetch",
    "get_guid",
    "get_log_path",
    "get_profiles",
    "list_jobs",
    "load_jobs",
    "set_guid",
    "set_profiles",
]
