"""The calls of every handset.

Each declaration is sent to the equipment as it is called; answers and errors are the equipment's. Time limits
are in seconds, 0 is none. (Equipment 1.6 A.)
"""

from __future__ import annotations

from typing import Any, Optional, Union

from ave.broker._remote import Profile, Remote, sent


class HandsetCalls(Remote):
    """What a telephone can be asked to do, whatever runs on it."""

    @sent
    def get_profile(self) -> Profile:
        """Shows the profile it was given with."""

    @sent
    def get_workstation(self) -> str:
        """Says which host it is attached to.

        :raises AveException: The profile names none.
        """

    @sent
    def get_handset_config(self) -> Optional[dict[str, Any]]:
        """Shows what ``handset.json`` says of its model."""

    @sent
    def get_platform(self) -> str:
        """Says what runs on it now: ``android``, ``firefox``, or ``adb`` if that is not known."""

    @sent
    def get_sdk_version(self) -> Optional[int]:
        """Reads ``sdk.version`` of its profile now."""

    @sent
    def get_gsm_operator(self) -> Optional[str]:
        """Reads ``gsm.operator`` of its profile now."""

    @sent
    def get_apn_sim_operator(self) -> Optional[str]:
        """Reads ``apn.sim.operator`` of its profile now."""

    @sent
    def get_phone_type(self) -> Optional[str]:
        """Reads ``phone.type`` of its profile now."""

    @sent
    def get_network_type(self) -> Optional[str]:
        """Reads ``network.type`` of its profile now."""

    @sent
    def get_operator_country(self) -> Optional[str]:
        """Reads ``operator.country`` of its profile now."""

    @sent
    def get_operator_isroaming(self) -> Optional[str]:
        """Reads ``operator.isroaming`` of its profile now."""

    @sent
    def get_operator_numeric(self) -> Optional[str]:
        """Reads ``operator.numeric`` of its profile now."""

    @sent
    def get_sim_operator(self) -> Optional[str]:
        """Reads ``sim.operator`` of its profile now."""

    @sent
    def get_sim_country(self) -> Optional[str]:
        """Reads ``sim.country`` of its profile now."""

    @sent
    def get_sim_operator_numeric(self) -> Optional[str]:
        """Reads ``sim.operator.numeric`` of its profile now."""

    @sent
    def get_product_model(self) -> Optional[str]:
        """Reads ``product.model`` of its profile now."""

    @sent
    def get_product_name(self) -> Optional[str]:
        """Reads ``product.name`` of its profile now."""

    @sent
    def get_build_type(self) -> Optional[str]:
        """Reads ``sw_type`` of its profile now."""

    @sent
    def get_private_sw_id(self) -> Optional[str]:
        """Reads ``private_sw_id`` of its profile now."""

    @sent
    def get_build_label(self) -> Optional[str]:
        """Reads ``sw.label`` of its profile now."""

    @sent
    def get_gsm_capable(self) -> bool:
        """Reads ``gsm-capable`` of its profile now."""

    @sent
    def update_profile(self, profile: Profile) -> Profile:
        """Completes a profile with every member that comes from a property, read now."""

    @sent
    def open_forwarded_port(self, remote: str) -> str:
        """Leads a free port of the host to ``remote`` (``tcp:80``, ``localabstract:name``); the same
        ``remote`` gets the same port, also one that was there.

        :returns: ``tcp:<port>`` of the host.
        :raises AveException: ``ADB is close to forwarding entry limits``.
        """

    @sent
    def close_forwarded_port(self, entry: str) -> None:
        """Ends a forward of this session; ``all`` ends all of them.

        :raises AveException: ``invalid port forwarding entry``, ``no such port forwarding entry: ...``.
        """

    @sent
    def list_forwarded_ports(self, all_adb: bool = False) -> list[list[str]]:
        """Lists the forwards of this session, or all that the adb server has.

        :returns: ``[serial, local, remote]`` of each.
        """

    @sent
    def has_adb(self) -> bool:
        """Says whether its shell works."""

    @sent
    def boot_completed(self) -> bool:
        """Says whether it has booted."""

    @sent
    def get_power_state(self) -> str:
        """Says its power state now."""

    @sent
    def wait_power_state(self, states: Union[str, list[str]], timeout: float = 0) -> str:
        """Waits for a state, or one of a list, and says which it is.

        :raises AveException: ``state must be a string or a list of strings``, ``no such state: ...``,
            ``Timeout``: ``wait power state timed out``.
        """

    @sent
    def reboot(self, timeout: float = 30) -> None:
        """Ends this session's forwards, reboots, and waits until it is ``offline``.

        :raises AveException: ``cannot reboot. disconnected handset``, ``Timeout``.
        """

    @sent
    def disable_dm_verity(self, timeout: float = 300, reboot: bool = False) -> None:
        """Lets system partitions be changed, as root; with ``reboot``, where the handset asks for one,
        reboots and waits for ``boot_completed``. Nothing below SDK 19."""

    @sent
    def enable_dm_verity(self, timeout: float = 300, reboot: bool = False) -> None:
        """Does the opposite of ``disable_dm_verity``. Nothing below SDK 23."""

    @sent
    def root(self) -> None:
        """Restarts adbd as root and waits for it, a minute at most.

        :raises AveException: ``adbd cannot run as root...``, ``Timeout``.
        """

    @sent
    def remount(self) -> str:
        """Makes the system partitions writable, as root.

        :raises AveException: ``remount failed...``.
        """

    @sent
    def ls(self, path: str) -> list[str]:
        """Lists the words ``ls`` prints.

        :raises AveException: ``No such file or directory: ...``, ``Not a directory: ...``, ``Permission
            denied: ...``.
        """

    @sent
    def cat(self, target: str) -> str:
        """Reads a file's content, as it is.

        :raises AveException: ``... does not exist``, ``target '...' is a directory``.
        """

    @sent
    def rm(self, target: str, recursive: bool = False) -> None:
        """Removes a file, or with ``recursive`` a tree; what is not there is fine.

        :raises AveException: What ``rm`` complains.
        """

    @sent
    def mv(self, src: str, dst: str) -> None:
        """Moves a file; whether it worked is not told."""

    @sent
    def mkdir(self, target: str, parents: bool = False) -> None:
        """Makes a directory.

        :raises AveException: ``... File exists``, unless ``parents``.
        """

    @sent
    def chmod(self, permissions: Union[int, str], target: str) -> None:
        """Changes permissions; whether it worked is not told."""

    @sent
    def path_exists(self, path: str, file_type: Optional[str] = None) -> bool:
        """Says whether there is such a path; ``file_type`` is ``symlink``, ``directory``, ``file`` or
        ``executable``.

        :raises AveException: ``invalid type .... valid types: ...``, the errors of ``ls``.
        """

    @sent
    def push(self, src: str, dst: str, timeout: float = 0) -> str:
        """Copies a file or a tree of the host; into ``dst`` if that is a directory, under the name ``src``
        has.

        :raises AveException: ``... temp-files generated by the workspace are not possible``: promote them
            first.
        """

    @sent
    def pull(self, src: str, dst: str, timeout: float = 0) -> str:
        """Copies a file or a tree to the host.

        :raises AveException: ``... does not exist``.
        """

    @sent
    def take_screenshot(self, dst: str, timeout: float = 20) -> int:
        """Writes a picture on the handset.

        :raises AveException: ``... must not be empty``, ``... must not be a folder``, ``... must not be
            root``.
        """

    @sent
    def is_mounted(self, path: str) -> bool:
        """Says whether there is such a path, at or below a mount point other than ``/``.

        :raises AveException: ``no path given``.
        """

    @sent
    def wait_mounted(self, sdcard: bool, ext_card: bool, timeout: float = 30) -> None:
        """Waits for memory cards. Android only.

        :raises AveException: ``timeout must be a positive value``, ``Timeout``: ``wait mounted timed out``.
        """

    @sent
    def wait_for_path(self, path: str, file_type: Optional[str] = None, timeout: float = 0) -> None:
        """Waits until ``path_exists``.

        :raises AveException: ``Timeout``.
        """

    @sent
    def shell(self, args: Union[str, list[str]], timeout: float = 0, bg: bool = False) -> Any:
        """Runs a command. A text is split at white space; a list of one element goes to the shell as it is.

        :returns: Text, or with ``bg`` the list ``[pid, fd]`` for ``kill_background_cmd``.
        :raises AveException: ``no such executable: ...``, ``Timeout``.
        """

    @sent
    def kill_background_cmd(self, pid: int, fd: int) -> None:
        """Ends a command of ``shell(bg=True)``; one that has ended is fine.

        :raises AveException: Any other pair of numbers.
        """

    @sent
    def ps(self, name: Optional[str] = None, exact: bool = False) -> list[dict[str, str]]:
        """Lists processes: all, those whose name contains ``name``, or with ``exact`` those called so.

        :returns: A dictionary with ``pid`` and ``name`` for each.
        """

    @sent
    def get_processes(self, name: Optional[str] = None, exact: bool = False) -> list[dict[str, str]]:
        """Lists processes, as ``ps`` does."""

    @sent
    def set_property(self, key: str, value: str, local: bool = False) -> None:
        """Sets a property and reads it back, as root; with ``local`` in ``/data/local.prop``, up to SDK 15 of
        Android.

        :raises AveException: ``local.prop not supported on sdk versions > 15...``.
        """

    @sent
    def get_property(self, key: str) -> str:
        """Reads a property with ``getprop``.

        :raises AveException: ``failed to get property with key: ...``.
        """

    @sent
    def clear_property(self, key: str) -> None:
        """Clears a property, as root, also in ``/data/local.prop``.

        :raises AveException: ``key must be a non-empty string``, ``failed to clear property...``.
        """

    @sent
    def run_bugreport(self, directory: str) -> str:
        """Writes a bug report below a directory of the handset.

        :raises AveException: ``no such directory on handset: ...``, ``not a directory: ...``.
        """

    @sent
    def force_dump(self, timeout: float = 0) -> None:
        """Crashes the kernel, as root."""
