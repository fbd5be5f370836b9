"""What brokers and resources have in common: any attribute is a call to the other end."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from typing import Any, Callable, NoReturn, TypeVar, cast

from ave.network.exceptions import ConnectionClosed

_Declaration = TypeVar("_Declaration", bound=Callable[..., Any])

#: What a piece of equipment is, or should be like.
Profile = dict[str, Any]


class Remote:
    """An object at the other end of a connection.

    Every public name is a method there: ``remote.name(...)`` sends a call, waits for its answer and
    returns it, or raises what it says. With ``__async__=True`` nothing is waited for and nothing returned.

    :arg handle: The connection, as the extension makes it.
    """

    _handle: Any

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        # A lock of Python's: unlike one inside the extension, waiting for it can be interrupted by Ctrl-C.
        self._turn = threading.RLock()
        _remotes.add(self)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return functools.partial(self._call, name)

    def _call(self, method: str, /, *args: Any, __async__: bool = False, **kwargs: Any) -> Any:
        with self._turn:
            return self._handle.call(method, args, kwargs, __async__)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot copy or pickle {self!r}: it is a connection of this process")


def sent(declaration: _Declaration) -> _Declaration:
    """Makes a method of a ``Remote`` of its declaration: it is sent as it is called."""
    name = declaration.__name__

    @functools.wraps(declaration)
    def call(self: Remote, /, *args: Any, **kwargs: Any) -> Any:
        return self._call(name, *args, **kwargs)

    return cast("_Declaration", call)


class _Inherited:
    """Stands for a parent's connection in a forked child."""

    def __getattr__(self, name: str) -> NoReturn:
        raise ConnectionClosed

    def close(self) -> None:
        """Nothing is left to close."""


_remotes: weakref.WeakSet[Remote] = weakref.WeakSet()


def _disown() -> None:
    """Closes the descriptors a child has inherited, so that it cannot keep what its parent loses."""
    for remote in _remotes:
        remote._handle, remote._turn = _Inherited(), threading.RLock()


os.register_at_fork(after_in_child=_disown)
