"""What a call may raise because of an answer that travelled. (Specification 2.6.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

#: An exception as it travels, or just its message.
Details = Union[str, Mapping[str, Any]]


class AveException(Exception):
    """Something went wrong at the other end.

    Every member of ``details`` can also be read as an attribute.

    :arg details: The message, or a mapping with at least ``message``.

    >>> AveException({'message': 'command timed out', 'cmd': ['sleep', '9']}).cmd
    ['sleep', '9']
    """

    #: What happened: ``message`` and ``type``, and whatever else the other end said.
    details: dict[str, Any]

    def __init__(self, details: Details = "") -> None:
        said = {"message": details} if isinstance(details, str) else details
        self.details = {"type": self._type(), "message": "", **said}
        super().__init__(self.details["message"])

    @classmethod
    def _type(cls) -> str:
        return "Exception" if cls is AveException else cls.__name__

    def __str__(self) -> str:
        return str(self.details["message"])

    def __getattr__(self, name: str) -> Any:
        details = self.__dict__.get("details", {})
        try:
            return details[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no detail {name!r}") from None


class Timeout(AveException):
    """A limit passed; ``cmd`` and ``out`` say which tool was running, if one was."""


class Exit(AveException):
    """The other end is shutting down."""


class AuthError(AveException):
    """The key does not allow this."""


class RunError(AveException):
    """A tool failed: ``cmd`` is what ran, ``out`` what it printed."""


class Restarting(AveException):
    """The broker has been replaced: connect again to allocate more. What is held stays held."""


class Terminated(AveException):
    """The other end was terminated."""


class Offline(AveException):
    """The equipment is not reachable."""


class CompositionServerResponseNot200Exception(AveException):
    """The composition server answered with another status than 200."""


class CompositionServerResponseHttpRetryCode(AveException):
    """The composition server asked to try again later."""


class CompositionServerResponseOrderFailed(AveException):
    """The composition server could not make what was ordered."""


class CompositionDownloadImagesFailed(AveException):
    """The ordered images could not be downloaded."""


_TRAVELLING = {cls.__name__: cls for cls in (Timeout, Exit, AuthError, RunError, Restarting, Terminated, Offline)}


def exception_factory(details: Details) -> Exception:
    """Makes the exception that an answer describes.

    :arg details: What the answer says: a message, or a mapping with ``message`` and ``type``.
    :returns: The class named by ``type`` if it is one that travels, the built-in ``OverflowError``, or
        else an :class:`AveException` that keeps the type. (Specification 2.6.)

    >>> exception_factory({'type': 'KeyError', 'message': 'serial'}).type
    'KeyError'
    """
    if isinstance(details, str):
        return AveException(details)
    kind = details.get("type")
    if kind == "OverflowError":
        return OverflowError(details.get("message", ""))
    return _TRAVELLING.get(str(kind), AveException)(details)


def amend_excepthook() -> None:
    """Does nothing. Scripts call it to see traces of the other end; a broker sends none. (Specification 2.2.)"""
