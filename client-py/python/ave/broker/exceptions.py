"""Why a broker did not lend. (Specification 2.6.)"""

from __future__ import annotations

from ave.exceptions import AveException, Details
from ave.exceptions import exception_factory as _general

__all__ = [
    "BrokerException",
    "Busy",
    "Duplicate",
    "NoSuch",
    "NotAllocated",
    "NotOwner",
    "Shared",
    "exception_factory",
]


class BrokerException(AveException):
    """A broker's refusal."""


class Busy(BrokerException):
    """The equipment exists, but somebody else has it: exit with ``vcsjob.BUSY`` and be run again later."""


class NoSuch(BrokerException):
    """No broker knows of such equipment, busy or not."""


class Shared(BrokerException):
    """The equipment belongs to another broker."""


class Duplicate(BrokerException):
    """The equipment is known already."""


class NotOwner(BrokerException):
    """Somebody else has the equipment."""


class NotAllocated(BrokerException):
    """Nobody has the equipment."""


_REFUSALS = {cls.__name__: cls for cls in (Busy, NoSuch, Shared, Duplicate, NotOwner, NotAllocated)}


def exception_factory(details: Details) -> Exception:
    """Makes the exception that an answer describes, refusals of a broker included.

    :arg details: What the answer says: a message, or a mapping with ``message`` and ``type``.
    :returns: A refusal of this module, or else what :func:`ave.exceptions.exception_factory` makes of it.

    >>> exception_factory({'type': 'Busy', 'message': 'all such equipment busy'})
    Busy('all such equipment busy')
    """
    kind = None if isinstance(details, str) else _REFUSALS.get(str(details.get("type")))
    return kind(details) if kind else _general(details)
