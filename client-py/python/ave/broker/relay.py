"""The calls of a relay.

Each declaration is sent to the equipment as it is called; answers and errors are the equipment's. Time limits
are in seconds, 0 is none. (Equipment 3.7.)
"""

from __future__ import annotations

from typing import Optional

from ave.broker._remote import Profile, Remote, sent


class RelayCalls(Remote):
    """What a group of circuits can be asked to do."""

    @sent
    def set_circuit(
        self,
        circuit: str,
        high: Optional[bool] = None,
        closed: Optional[bool] = None,
    ) -> list[int]:
        """Closes a circuit (true: the relay is energised) or opens it (false). ``high`` and ``closed`` are
        two names of one argument; give one of them.

        :returns: When it was done: year, month, day, hour, minute, second, microsecond, in UTC.
        :raises AveException: ``named circuit not in allocated relay: ...``, ``device is offline``.
        """

    @sent
    def reset(self) -> list[int]:
        """Brings all circuits of the group to their defaults, also those that were not asked for.

        :returns: When it was done: year, month, day, hour, minute, second, microsecond, in UTC.
        :raises AveException: ``device is offline``.
        """

    @sent
    def get_profile(self) -> Profile:
        """Shows the profile, as it was granted."""
