"""The calls of a broker that lend nothing: lists for everybody, and the administrator's tools.

Each declaration is sent to the broker as it is called; answers and errors are the broker's.
(Specification 4.2.)
"""

from __future__ import annotations

from typing import Literal, Optional, TypedDict, Union

from ave.broker._remote import Profile, Remote, sent

#: Host and port.
Address = tuple[str, int]

#: The broker's own host, or a broker that shares with it.
Allocator = Union[Literal["local"], Address]


class Held(TypedDict):
    """A piece of equipment, and the broker that has it."""

    holder: Allocator
    profile: Profile


class Administration(Remote):
    """What can be asked of a broker, beside equipment.

    Most of it is for administrators, ``Broker(authkey=...)`` with the value of ``"admin"`` in the broker's
    ``authkeys.json``: with another key, or none, it raises ``AveException``, ``not authorized to make this
    call``. A broker without that key lets everybody.
    """

    @sent
    def get_profile(self) -> Profile:
        """Shows the broker's configuration, for everybody.

        :returns: A profile of type ``broker`` with at least ``host``, ``port``, ``stacks`` and ``remote``.

        >>> sorted(broker.get_profile().keys() & {'host', 'port', 'stacks'})
        ['host', 'port', 'stacks']
        """

    @sent
    def get_status(self) -> Profile:
        """Tells how the broker is, in numbers, for administrators.

        :returns: Among others ``version``, ``pid``, ``uptime_s``, ``sessions``, ``equipment``, and ``generation``:
            1, and one more with each restart. (Specification 4.2.)

        >>> status = admin.get_status()
        >>> status['generation'], status['equipment']['broken']
        (1, 0)
        """

    @sent
    def set_log_level(self, filter: str) -> None:
        """Chooses what the broker logs until it ends, for administrators.

        :arg filter: ``LEVEL`` or ``TARGET=LEVEL``, several with commas between them; a level is one of off,
            error, warn, info, debug and trace. (Specification 7.5.)
        :raises AveException: ``"..." is no filter of logs: ...``

        >>> admin.set_log_level('info')
        """

    @sent
    def list_allocations(self) -> list[Profile]:
        """Lists what this client holds, for everybody.

        :returns: One profile per resource.
        :raises AveException: ``session closed``, after a failed ``get`` or as administrator.

        >>> handset = broker.get({'type': 'handset'})
        >>> broker.list_allocations() == [handset.profile]
        True
        """

    @sent
    def list_collateral(self) -> list[Profile]:
        """Lists what nobody can allocate because of what this client holds, for everybody.

        :returns: The other members of the stacks, in the short form of the configuration.
        :raises AveException: ``session closed``, after a failed ``get`` or as administrator.

        >>> handset = broker.get({'type': 'handset', 'pretty': 'yuga'})
        >>> broker.list_collateral() == [{'type': 'relay', 'uid': 'a'}]
        True
        """

    @sent
    def list_allocations_all(self) -> list[Profile]:
        """Lists what all clients hold, for administrators.

        :returns: One profile per resource, in any order.

        >>> admin.list_allocations_all()
        []
        """

    @sent
    def list_collateral_all(self) -> list[Profile]:
        """Lists what nobody can allocate because of what others hold, for administrators.

        :returns: The other members of the stacks, in the short form of the configuration.

        >>> admin.list_collateral_all()
        []
        """

    @sent
    def list_equipment(
        self, profile: Optional[Profile] = None, allocator: Optional[Allocator] = None
    ) -> list[Profile]:
        """Lists equipment, available or not, for administrators.

        :arg profile: What to look for; everything by default.
        :arg allocator: ``"local"`` or the address of a share; all by default.
        :returns: One profile per piece.

        >>> [profile['pretty'] for profile in admin.list_equipment({'type': 'handset', 'platform': 'firefox'})]
        ['hayabusa']
        """

    @sent
    def list_available(self, profile: Optional[Profile] = None) -> list[Profile]:
        """Lists equipment that could be allocated now, for administrators.

        :arg profile: What to look for; everything by default.
        :returns: One profile per piece.

        >>> handset = broker.get({'type': 'handset', 'pretty': 'yuga'})
        >>> admin.list_available({'type': 'handset', 'pretty': 'yuga'})
        []
        """

    @sent
    def list_handsets(self, profile: Optional[Profile] = None) -> list[Profile]:
        """Lists the handsets of the broker's own host, for administrators.

        :arg profile: What to look for; every handset by default.
        :returns: One profile per handset.

        >>> {profile['type'] for profile in admin.list_handsets()}
        {'handset'}
        """

    @sent
    def list_relays(self, profile: Optional[Profile] = None) -> list[Profile]:
        """Lists the relays of the broker's own host, for administrators.

        :arg profile: What to look for; every relay by default.
        :returns: One profile per relay.

        >>> [profile['uid'] for profile in admin.list_relays({'type': 'relay', 'uid': 'a'})]
        ['a']
        """

    @sent
    def list_stacks(self) -> list[list[Profile]]:
        """Lists the configured stacks, for administrators. Workspaces go with everything and are not listed.

        :returns: A list of short profiles per stack.

        >>> [profile['type'] for profile in admin.list_stacks()[0]]
        ['relay', 'handset']
        """

    @sent
    def list_holders(self, profile: Optional[Profile] = None, available: bool = False) -> list[Held]:
        """Lists equipment with the broker that has it, for administrators.

        :arg profile: What to look for; everything by default.
        :arg available: Only what could be allocated now.
        :returns: ``{"holder": ..., "profile": ...}`` per piece: ``"local"``, or ``[host, port]`` of another
            broker; behind an original one, of the share that told of it. (Specification 6.6.)

        >>> [each['holder'] for each in admin.list_holders({'type': 'relay', 'uid': 'a'})]
        ['local']
        """

    @sent
    def list_allocators(self) -> list[Allocator]:
        """Lists who lends through this broker, for administrators.

        :returns: ``"local"``, and ``[host, port]`` of each broker that shares with this one.

        >>> admin.list_allocators()
        ['local']
        """

    @sent
    def list_shares(self) -> list[Address]:
        """Lists the brokers that share their equipment with this one, for administrators.

        :returns: ``[host, port]`` of each.

        >>> admin.list_shares()
        []
        """

    @sent
    def start_sharing(self) -> Optional[Address]:
        """Shares this broker's equipment, anew if it does already, for administrators.

        :returns: An empty host and this broker's port; ``None`` if it has no rule for that.

        >>> admin.start_sharing()
        """

    @sent
    def stop_sharing(self) -> None:
        """Stops sharing this broker's equipment until ``start_sharing``, for administrators.

        >>> admin.stop_sharing()
        """

    @sent
    def restart_sharing(self) -> None:
        """Shares again what is being shared, for administrators.

        >>> admin.restart_sharing()
        """

    @sent
    def drop_share(self, address: Address) -> None:
        """Disconnects a broker that shares its equipment with this one, for administrators. It comes back by
        itself; what clients hold there stays theirs.

        :arg address: Its host and port; unknown ones have no effect.

        >>> admin.drop_share(('elsewhere', 4000))
        """

    @sent
    def drop_all_shares(self) -> None:
        """Disconnects all brokers that share their equipment with this one, for administrators.

        >>> admin.drop_all_shares()
        """

    @sent
    def reset_equipment(self, profile: Profile) -> None:
        """Has a broken piece made clean, and waits until it can be lent again, for administrators.

        :arg profile: Its type and identity. ``list_equipment`` shows why it is broken, as ``broken``.
        :raises NoSuch: There is no such piece.
        :raises Busy: Somebody still holds it, or it is being reset already.
        :raises AveException: It is not broken, or still is. (Specification 5.11.)

        >>> try:
        ...     admin.reset_equipment({'type': 'relay', 'uid': 'a'})
        ... except AveException as error:
        ...     str(error).endswith('is not broken')
        True
        """

    @sent
    def close_session(self, authkey: str) -> None:
        """Ends a client's session and frees what it holds, for administrators.

        :arg authkey: The session's key, as in ``authkey`` of a resource.
        :raises AveException: With type ``KeyError``: there is no such session.

        >>> handset = broker.get({'type': 'handset'})
        >>> admin.close_session(handset.authkey)
        """

    @sent
    def stop(self) -> bool:
        """Stops the broker and thereby all sessions, for administrators.

        :returns: ``True``, if the answer arrives before the connection ends.
        :raises ConnectionClosed: It did not. Either way the broker stops.
        """

    @sent
    def add_equipment(self, allocator: Literal["local"], profiles: list[Profile]) -> None:
        """Tells the broker of equipment of its own host, with the ``share`` key.

        :arg allocator: ``"local"``.
        :arg profiles: The pieces; one that is known already is replaced.
        :raises AveException: With type ``KeyError``: the member that identifies a piece is missing.
            With type ``Exception``: a profile is not valid. Nothing is stored. (Specification 4.3.)

        >>> share.add_equipment('local', [{'type': 'relay', 'uid': 'new', 'power_state': 'online'}])
        """

    @sent
    def set_stacks(self, allocator: Literal["local"], stacks: list[list[Profile]]) -> None:
        """Replaces the stacks of the broker's own host, with the ``share`` key.

        :arg allocator: ``"local"``.
        :arg stacks: A list of short profiles per stack.
        :raises AveException: ``stacks must be a list of list of profiles``. (Specification 4.3.)

        >>> share.set_stacks('local', [])
        """

    @sent
    def set_ws_profile(self, allocator: Literal["local"], profile: Profile) -> None:
        """Replaces what workspaces of the broker's own host look like, with the ``share`` key.

        :arg allocator: ``"local"``.
        :arg profile: A workspace profile without ``uid``.
        :raises AveException: ``cannot set generic workspace profile with uid: ...``. (Specification 4.3.)
        """
