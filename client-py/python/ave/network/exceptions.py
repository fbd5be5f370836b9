"""What becomes of a connection, beside everything of :mod:`ave.exceptions`. (Specification 2.6.)

These are no :class:`~ave.exceptions.AveException`: they never travel, the client itself notices.
"""

from ave.exceptions import (
    AuthError,
    AveException,
    CompositionDownloadImagesFailed,
    CompositionServerResponseHttpRetryCode,
    CompositionServerResponseNot200Exception,
    CompositionServerResponseOrderFailed,
    Exit,
    Offline,
    Restarting,
    RunError,
    Terminated,
    Timeout,
    amend_excepthook,
    exception_factory,
)

__all__ = [
    "AuthError",
    "AveException",
    "CompositionDownloadImagesFailed",
    "CompositionServerResponseHttpRetryCode",
    "CompositionServerResponseNot200Exception",
    "CompositionServerResponseOrderFailed",
    "ConnectionAgain",
    "ConnectionClosed",
    "ConnectionInProgress",
    "ConnectionRefused",
    "ConnectionReset",
    "ConnectionTimeout",
    "Exit",
    "Offline",
    "RemoteAuthError",
    "RemoteExit",
    "RemoteRunError",
    "RemoteTimeout",
    "Restarting",
    "RunError",
    "Terminated",
    "Timeout",
    "Unjoinable",
    "Unknown",
    "Unstarted",
    "Unwaitable",
    "amend_excepthook",
    "exception_factory",
]


class ConnectionClosed(Exception):
    """The connection has ended, and with it everything that depended on it."""

    def __init__(self, message: str = "connection closed") -> None:
        super().__init__(message)


class ConnectionTimeout(Exception):
    """The other end did not answer in time."""

    def __init__(self, message: str = "timed out") -> None:
        super().__init__(message)


class ConnectionRefused(Exception):
    """Nobody is there: no broker, or a session that has ended."""

    def __init__(self, message: str = "connection refused") -> None:
        super().__init__(message)


class ConnectionInProgress(Exception):
    """A connection is still being made."""


class ConnectionAgain(Exception):
    """Nothing can be read or written at the moment."""


class ConnectionReset(Exception):
    """The other end cut the connection."""


class Unstarted(Exception):
    """A process was not started."""


class Unwaitable(Exception):
    """A process cannot be waited for."""


class Unjoinable(Exception):
    """A process cannot be joined."""


class Unknown(Exception):
    """A process is not known."""


#: Old names, for scripts that still use them.
RemoteTimeout = Timeout
RemoteExit = Exit
RemoteAuthError = AuthError
RemoteRunError = RunError
