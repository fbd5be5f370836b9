"""The client's end of a broker: allocate, give back, ask. (Specification 4, 5.1, 5.10, 9.)"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Optional, Union, overload

from ave import _client
from ave.broker._remote import Profile, Remote
from ave.broker.administration import Administration
from ave.broker.resource import RemoteHandset, RemoteRelay, RemoteResource, RemoteWorkspace, resource_of
from ave.broker.wanted import WantedHandset, WantedRelay, WantedWorkspace
from ave.config import find_broker
from ave.exceptions import AveException

#: Seconds for connecting and for each answer, unless the script says otherwise.
TIMEOUT_S = 5.0


class RemoteBroker(Administration, Remote):
    """A connection to a broker, and with it everything this client has allocated.

    Keep the object for as long as the resources are needed: when it goes, by ``close``, at the end of a
    ``with`` block or because nothing refers to it any more, the broker frees all of them.

    Threads may share it; their calls take turns. Nothing of it works in a forked child.

    :arg address: Host and port of the broker; by default those of the configuration. Text or bytes in
        this place are the ``authkey``.
    :arg timeout: Seconds for connecting, and again for each answer; 0 or ``None`` for no limit. A broker
        that refuses connections is tried again until then.
    :arg authkey: The key of an account in the broker's ``authkeys.json``; none to allocate equipment.
    :arg home: The directory that holds ``.ave/config``; by default the one ``/etc/ave/user`` names, or
        else the invoking user's home.
    :raises AveException: The configuration is missing or not valid. (Specification 8.2.)

    >>> Broker(home=home).get_profile()['type']
    'broker'
    """

    #: Host and port of the broker.
    address: tuple[str, int]

    _handle: _client.Broker

    def __init__(
        self,
        address: Optional[Union[tuple[str, int], str, bytes]] = None,
        timeout: Optional[float] = TIMEOUT_S,
        authkey: Optional[Union[str, bytes]] = None,
        home: Optional[Union[str, Path]] = None,
    ) -> None:
        if isinstance(address, (str, bytes)):
            address, authkey = None, address
        self.address = find_broker(home) if address is None else _pair(address)
        key = authkey.decode() if isinstance(authkey, bytes) else authkey
        super().__init__(_client.Broker(self.address, timeout or None, key))

    @overload
    def get(self, handset: WantedHandset, /) -> RemoteHandset: ...
    @overload
    def get(self, relay: WantedRelay, /) -> RemoteRelay: ...
    @overload
    def get(self, workspace: WantedWorkspace, /) -> RemoteWorkspace: ...
    @overload
    def get(self, handset: WantedHandset, relay: WantedRelay, /) -> tuple[RemoteHandset, RemoteRelay]: ...
    @overload
    def get(
        self, handset: WantedHandset, workspace: WantedWorkspace, /
    ) -> tuple[RemoteHandset, RemoteWorkspace]: ...
    @overload
    def get(
        self, handset: WantedHandset, relay: WantedRelay, workspace: WantedWorkspace, /
    ) -> tuple[RemoteHandset, RemoteRelay, RemoteWorkspace]: ...
    @overload
    def get(self, *profiles: Union[Profile, tuple[Profile, ...]]) -> Any: ...
    def get(self, *profiles: Any) -> Any:
        """Allocates resources, all of them or none.

        :arg profiles: What is wanted. All profiles together, or those of one tuple, come from one stack
            of one host; several tuples are independent of each other.
        :returns: One :class:`~ave.broker.resource.RemoteResource` per profile in the order of the request:
            bare if it is one, else a tuple.
        :raises Busy: All matching equipment is allocated to others.
        :raises NoSuch: No broker knows of such equipment.
        :raises Restarting: The broker has been replaced; what is held stays held.
        :raises AveException: A profile is not valid, or the session was closed. Except for what is
            noticed before anything is sent, a failed allocation ends the session and frees everything.
        :raises ConnectionClosed: Administrators cannot allocate. (Specification 5.1.)

        >>> h1, r, h2 = broker.get(({'type': 'handset'}, {'type': 'relay'}), {'type': 'handset'})
        >>> h1.profile['serial'] != h2.profile['serial']
        True
        """
        groups = [_group(profile) for profile in profiles]
        if not any(isinstance(profile, tuple) for profile in profiles):
            groups = [[profile for group in groups for profile in group]]
        with self._turn:
            handles = self._handle.get(groups)
        resources = tuple(map(resource_of, handles))
        return resources[0] if len(resources) == 1 else resources

    get_resource = get
    get_resources = get

    def yield_resources(self, *resources: Union[RemoteResource, Profile]) -> None:
        """Gives resources back before the end; others can have them at once.

        :arg resources: What ``get`` returned, or profiles of it.
        :raises NotOwner: Somebody else has one of them.
        :raises NoSuch: One of them has been given back already.
        :raises AveException: ``no resources to yield``: nothing was allocated so far. In every case the
            session lives on. (Specification 5.10.)

        >>> handset = broker.get({'type': 'handset'})
        >>> broker.yield_resources(handset)
        """
        profiles = [_profile(each) for each in resources]
        with self._turn:
            self._handle.yield_resources(profiles)

    def close(self) -> None:
        """Disconnects: everything allocated is freed. Calls then raise ``ConnectionClosed``."""
        with self._turn:
            self._handle.close()

    def __enter__(self) -> RemoteBroker:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Broker at {self.address[0]}:{self.address[1]}>"


def _pair(address: object) -> tuple[str, int]:
    if isinstance(address, (tuple, list)) and len(address) == 2:
        host, port = address
        if isinstance(host, str) and isinstance(port, int) and 0 < port < 65536:
            return host, port
    raise TypeError(f"address must be a pair of host and port, found {address!r}")


def _profile(resource: object) -> Profile:
    if isinstance(resource, RemoteResource):
        return resource.profile
    if isinstance(resource, dict):
        return resource
    raise TypeError(f"only resources and profiles can be yielded, found {resource!r}")


def _group(argument: object) -> list[Profile]:
    profiles = argument if isinstance(argument, tuple) else (argument,)
    for profile in profiles:
        if not isinstance(profile, dict):
            raise AveException(f"profile is not a dictionary: {profile!r}")
        if "type" not in profile:
            raise AveException(f'profile "type" field is missing: {profile!r}')
    return list(profiles)
