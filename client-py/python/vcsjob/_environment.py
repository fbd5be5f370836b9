"""What a job finds in its environment, and how a scheduler leaves it there. (Equipment 6.3.)"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Union

from ave.exceptions import AveException

PROFILES = "VCSJOB_PROFILES"
GUID = "VCSJOB_GUID"
LOG_PATH = "VCSJOB_LOG_PATH"

#: A profile, or several that are wanted together.
Wanted = Union[dict[str, Any], Sequence[dict[str, Any]]]


def set_profiles(profiles: list[Wanted]) -> None:
    """Leaves the profiles a job should use in the environment, for the programs it starts.

    :arg profiles: A list of profiles; an inner list or tuple means "these together".
    :raises AveException: It is not a list, or an entry is not a profile with a ``type``.

    >>> set_profiles([({'type': 'handset'}, {'type': 'relay'})])
    """
    check_profiles(profiles)
    os.environ[PROFILES] = json.dumps(profiles)


def get_profiles() -> list[Any]:
    """Finds the profiles this job should use.

    :returns: A list ready for ``broker.get(*profiles)``: dictionaries, and tuples of those wanted together.
    :raises AveException: ``no profiles set``, or something else is in the environment.

    >>> set_profiles([[{'type': 'handset'}]])
    >>> get_profiles()
    [({'type': 'handset'},)]
    """
    if PROFILES not in os.environ:
        raise AveException("no profiles set")
    try:
        profiles = json.loads(os.environ[PROFILES])
    except ValueError as error:
        raise AveException(f"{PROFILES} is not JSON: {error}") from None
    check_profiles(profiles)
    return [tuple(entry) if isinstance(entry, list) else entry for entry in profiles]


def set_guid(guid: str) -> None:
    """Leaves the id of this run in the environment, for the programs it starts.

    :arg guid: Any text.
    """
    os.environ[GUID] = guid


def get_guid() -> str:
    """Finds the id of this run.

    :returns: The text that was set.
    :raises AveException: ``guid not set``.

    >>> set_guid('nightly 17')
    >>> get_guid()
    'nightly 17'
    """
    if GUID not in os.environ:
        raise AveException("guid not set")
    return os.environ[GUID]


def get_log_path() -> str:
    """Finds the file that this job's output is kept in.

    :returns: The path, as the scheduler gave it.
    :raises AveException: ``no log path set``: the output is not kept in a file.
    """
    if LOG_PATH not in os.environ:
        raise AveException("no log path set")
    return os.environ[LOG_PATH]


def check_profiles(profiles: object) -> None:
    """Refuses what ``get_profiles`` could not return.

    :raises AveException: It is not a list, or an entry is not a profile with a ``type``.
    """
    if not isinstance(profiles, list):
        raise AveException("profiles must be a list")
    for entry in profiles:
        for profile in entry if isinstance(entry, (list, tuple)) else (entry,):
            if not isinstance(profile, dict):
                raise AveException(f"profile is not a dictionary: {profile!r}")
            if not isinstance(profile.get("type"), str):
                raise AveException(f'profile "type" field is missing or not a string: {profile!r}')
