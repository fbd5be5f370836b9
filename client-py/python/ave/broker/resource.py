"""What ``Broker.get`` returns: one object for each resource. (Specification 3.2, 9.)"""

from __future__ import annotations

from typing import Any

from ave._client import Resource as Handle
from ave.broker._remote import Remote
from ave.broker.android import AndroidCalls
from ave.broker.relay import RelayCalls
from ave.broker.workspace import WorkspaceCalls

__all__ = [
    "RemoteBeryllium",
    "RemoteHandset",
    "RemotePowermeter",
    "RemoteRelay",
    "RemoteResource",
    "RemoteTestDrive",
    "RemoteWlan",
    "RemoteWorkspace",
]


class RemoteResource(Remote):
    """A piece of equipment that this client holds, of any type.

    It has a connection of its own, made at the first call. It does not keep the broker alive: once the
    ``Broker`` is gone, calls raise ``ConnectionRefused``, or ``ConnectionClosed`` if there have been some.

    >>> handset = broker.get({'type': 'handset'})
    >>> handset.profile['type']
    'handset'
    >>> handset.get_profile() == handset.profile
    True
    """

    #: What was granted.
    profile: dict[str, Any]
    #: Host and port of the session that serves it.
    address: tuple[str, int]
    #: The key of that session.
    authkey: str
    #: Calls have no time limit here; those that take long have one of their own.
    timeout: None = None

    def __init__(self, handle: Handle) -> None:
        super().__init__(handle)
        self.profile = handle.profile
        self.address = handle.address
        self.authkey = handle.authkey

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.profile} at {self.address[0]}:{self.address[1]}>"


class RemoteWorkspace(WorkspaceCalls, RemoteResource):
    """A directory on the host of the equipment, deleted when it is given back, with tools to run there."""


class RemoteHandset(AndroidCalls, RemoteResource):
    """A telephone."""


class RemoteRelay(RelayCalls, RemoteResource):
    """A board of switches, wired into the cables of other equipment."""


class RemoteTestDrive(RemoteResource):
    """A simulator of satellite positioning."""


class RemoteBeryllium(RemoteResource):
    """A Beryllium device."""


class RemoteWlan(RemoteResource):
    """A wireless network."""


class RemotePowermeter(RemoteResource):
    """A power meter."""


_CLASSES = {
    "beryllium": RemoteBeryllium,
    "handset": RemoteHandset,
    "powermeter": RemotePowermeter,
    "relay": RemoteRelay,
    "testdrive": RemoteTestDrive,
    "wlan": RemoteWlan,
    "workspace": RemoteWorkspace,
}


def resource_of(handle: Handle) -> RemoteResource:
    """Makes the object for a granted resource; a type without a class of its own is served as well."""
    return _CLASSES.get(handle.profile["type"], RemoteResource)(handle)
