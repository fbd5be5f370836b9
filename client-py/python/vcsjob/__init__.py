"""How a test job and the scheduler that runs it understand each other.

A job exits with one of these statuses and finds its inputs in the environment; see the manual's first
rule of correct usage. (Specification 2.6.)

>>> import vcsjob
>>> vcsjob.exit_to_str(vcsjob.BUSY)
'vcsjob.BUSY'
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Union

from ave.exceptions import AveException

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
    "exit_to_str",
    "get_guid",
    "get_profiles",
    "set_guid",
    "set_profiles",
]

#: Everything passed.
OK = 0
#: The job itself broke.
ERROR = 1
#: Nothing was executed.
NORUN = 2
#: A precondition is not met.
BLOCKED = 3
#: The equipment is allocated to somebody else: try again later.
BUSY = 4
#: The tests found problems.
FAILURES = 5
#: The jobs cannot be listed.
NOLIST = 6
#: The job was ended by a signal.
KILLED = 7
#: The jobs cannot be fetched.
NOFETCH = 8
#: The job ran longer than it may.
TIMEOUT = 9

_NAMES = ("OK", "ERROR", "NORUN", "BLOCKED", "BUSY", "FAILURES", "NOLIST", "KILLED", "NOFETCH", "TIMEOUT")
_PROFILES = "VCSJOB_PROFILES"
_GUID = "VCSJOB_GUID"

#: A profile, or several that are wanted together.
Wanted = Union[dict[str, Any], Sequence[dict[str, Any]]]


def exit_to_str(status: int) -> str:
    """Says the name of an exit status.

    :arg status: 0 to 9.
    :returns: For example ``vcsjob.OK``.
    :raises AveException: ``unknown exit code``.
    """
    if status not in range(len(_NAMES)):
        raise AveException(f"unknown exit code: {status}")
    return f"vcsjob.{_NAMES[status]}"


def set_profiles(profiles: list[Wanted]) -> None:
    """Leaves the profiles a job should use in the environment, for the programs it starts.

    :arg profiles: A list of profiles; an inner list or tuple means "these together".
    :raises AveException: It is not a list, or an entry is not a profile with a ``type``.

    >>> set_profiles([({'type': 'handset'}, {'type': 'relay'})])
    """
    _check(profiles)
    os.environ[_PROFILES] = json.dumps(profiles)


def get_profiles() -> list[Any]:
    """Finds the profiles this job should use.

    :returns: A list ready for ``broker.get(*profiles)``: dictionaries, and tuples of those wanted together.
    :raises AveException: ``no profiles set``, or something else is in the environment.

    >>> set_profiles([[{'type': 'handset'}]])
    >>> get_profiles()
    [({'type': 'handset'},)]
    """
    if _PROFILES not in os.environ:
        raise AveException("no profiles set")
    try:
        profiles = json.loads(os.environ[_PROFILES])
    except ValueError as error:
        raise AveException(f"{_PROFILES} is not JSON: {error}") from None
    _check(profiles)
    return [tuple(entry) if isinstance(entry, list) else entry for entry in profiles]


def set_guid(guid: str) -> None:
    """Leaves the id of this run in the environment, for the programs it starts.

    :arg guid: Any text.
    """
    os.environ[_GUID] = guid


def get_guid() -> str:
    """Finds the id of this run.

    :returns: The text that was set.
    :raises AveException: ``guid not set``.

    >>> set_guid('nightly 17')
    >>> get_guid()
    'nightly 17'
    """
    if _GUID not in os.environ:
        raise AveException("guid not set")
    return os.environ[_GUID]


def _check(profiles: object) -> None:
    if not isinstance(profiles, list):
        raise AveException("profiles must be a list")
    for entry in profiles:
        for profile in entry if isinstance(entry, (list, tuple)) else (entry,):
            if not isinstance(profile, dict):
                raise AveException(f"profile is not a dictionary: {profile!r}")
            if not isinstance(profile.get("type"), str):
                raise AveException(f'profile "type" field is missing or not a string: {profile!r}')
