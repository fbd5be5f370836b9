"""What a job's end is called: ten statuses, and which of several is the worst. (Equipment 6.1, 6.5.)"""

from __future__ import annotations

from collections.abc import Iterable

from ave.exceptions import AveException

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

#: From harmless to grave; a status that is not here is as grave as ERROR.
_GRAVITY = (OK, FAILURES, BLOCKED, NORUN, TIMEOUT, KILLED, ERROR, BUSY)


def exit_to_str(status: int) -> str:
    """Says the name of an exit status.

    :arg status: 0 to 9.
    :returns: For example ``vcsjob.OK``.
    :raises AveException: ``unknown exit code``.
    """
    if status not in range(len(_NAMES)):
        raise AveException(f"unknown exit code: {status}")
    return f"vcsjob.{_NAMES[status]}"


def worst(statuses: Iterable[int]) -> int:
    """Says what several jobs come to.

    BUSY beats all: a scheduler that runs the jobs again learns the rest then.

    :arg statuses: What the jobs returned, at least one.
    :returns: The gravest of them, the first if several are.
    """
    return max(statuses, key=lambda status: _GRAVITY.index(status if status in _GRAVITY else ERROR))
