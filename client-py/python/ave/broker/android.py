"""The calls of handsets that run Android.

Each declaration is sent to the equipment as it is called; answers and errors are the equipment's. Time limits
are in seconds, 0 is none. (Equipment 1.6 B.)
"""

from __future__ import annotations

from typing import Any, Optional, Union

from ave.broker._remote import sent
from ave.broker.handset import HandsetCalls


class AndroidCalls(HandsetCalls):
    """What a telephone with Android can be asked to do."""

    @sent
    def pm_ready(self) -> bool:
        """Says whether its package manager works, or it has booted."""

    @sent
    def pm_enable(self, target: str) -> None:
        """Switches a package, or a component of one, on.

        :raises AveException: ``no such package on handset: ...``.
        """

    @sent
    def pm_disable(self, target: str) -> None:
        """Switches a package, or a component of one, off."""

    @sent
    def restart_system(self, timeout: float = 120) -> None:
        """Stops Android and starts it, as root, and waits until its animation has ended. Since SDK 16.

        :raises AveException: ``timeout must be a positive...``, ``Timeout``.
        """

    @sent
    def get_phone_number(self) -> str:
        """Reads the number of its SIM card, as root.

        :raises AveException: It knows none.
        """

    @sent
    def press_key(self, keycode: Union[int, str]) -> None:
        """Presses a key: a number, or a name as ``KEYCODE_HOME``.

        :raises AveException: ``keypress failed...``.
        """

    @sent
    def clear_local_properties(self) -> None:
        """Removes ``/data/local.prop``, as root."""

    @sent
    def get_locale(self) -> str:
        """Says its locale, like ``sv_SE``; empty if it does not say."""

    @sent
    def list_packages(self) -> list[str]:
        """Lists the names of all packages.

        :raises AveException: ``cannot list packages...``.
        """

    @sent
    def is_installed(self, package: str) -> bool:
        """Says whether it has a package."""

    @sent
    def install(self, apk_path: str, timeout: float = 30, args: Optional[str] = None) -> None:
        """Installs a file of the host; ``args`` is some of ``-l -r -t -s -d -g``, with blanks between them.

        :raises AveException: ``no such apk file: ...``, ``args of install: ... is not correct``, the code of
            a ``Failure [...]``.
        """

    @sent
    def reinstall(self, apk_path: str, timeout: float = 30) -> None:
        """Installs a file of the host over the same package: ``install`` with ``-r``."""

    @sent
    def uninstall(self, package: str) -> None:
        """Removes a package.

        :raises AveException: ``Failure...``, if the handset says just that.
        """

    @sent
    def get_package_version(self, package: str) -> int:
        """Reads the first ``versionCode`` of a package.

        :raises AveException: ``can not find versionCode from...``.
        """

    @sent
    def list_permissions(self, args: str = "-d -g") -> str:
        """Shows what ``pm list permissions`` says."""

    @sent
    def grant_permissions(self, package: str, permissions_name: str) -> bool:
        """Grants a permission to a package. Since SDK 23.

        :raises AveException: What ``pm`` says.
        """

    @sent
    def revoke_permissions(self, package: str, permissions_name: str) -> bool:
        """Takes a permission from a package. Since SDK 23.

        :raises AveException: What ``pm`` says.
        """

    @sent
    def disable_usb_mode_chooser(self) -> None:
        """Switches the settings' chooser off with ``pm_disable``, as root."""

    @sent
    def enable_usb_mode_chooser(self) -> None:
        """Switches the settings' chooser on with ``pm_enable``, as root."""

    @sent
    def disable_package_verifier(self) -> None:
        """Has packages not checked any more. Nothing below SDK 17.

        :raises AveException: ``RunError``.
        """

    @sent
    def enable_package_verifier(self) -> None:
        """Has packages checked again. Nothing below SDK 17.

        :raises AveException: ``RunError``.
        """

    @sent
    def clear_logcat(self, args: str = "") -> None:
        """Clears the log: ``logcat -c``.

        :raises AveException: What ``logcat`` says.
        """

    @sent
    def start_logcat(self, args: str = "", log_file: Optional[str] = None) -> int:
        """Clears the log and begins to read it, into ``log_file`` of the host if that is given.

        :raises AveException: The errors of ``clear_logcat``, ``cannot write ...``.
        """

    @sent
    def stop_logcat(self, uid: int) -> None:
        """Ends a reader.

        :raises AveException: ``monitor uid must be an integer``, ``no monitor with that id: ...``.
        """

    @sent
    def get_logcat_log(self, uid: int, timeout: float = 10) -> str:
        """Shows what was read since it was asked for last; it answers at once."""

    @sent
    def get_instrumentation_runners(self, package: str) -> list[str]:
        """Lists what can run the tests of a package."""

    @sent
    def run_junit(
        self,
        output_path: Optional[str] = None,
        test_package: Optional[str] = None,
        runner: Optional[str] = None,
        test_options: Optional[dict[str, Any]] = None,
        raw: Optional[bool] = None,
        timeout: float = 0,
        timeout_kill: bool = True,
    ) -> str:
        """Runs the tests of a package with an instrumentation runner; docs/handset.md has the combinations."""

    @sent
    def kill_junit_test(self, package: str, timeout: float = 10) -> None:
        """Kills a test and what it tests, as root, until neither is there.

        :raises AveException: ``no package given``, ``no runner in package: ...``, ``Timeout``.
        """

    @sent
    def list_gtest_tests(self, target: str) -> list[str]:
        """Lists the tests of an executable, ``Suite.case``.

        :raises AveException: ``target does not exist: ...``, ``target is not an executable file: ...``.
        """

    @sent
    def run_gtest(
        self,
        target: str,
        result_path: Optional[str] = None,
        args: list[str] = [],
        timeout: int = 0,
    ) -> list[Optional[str]]:
        """Runs an executable of tests. With a directory of the host as ``result_path``, the files there that
        have the output and the results as XML; else ``None``.

        :returns: ``[output, file, file]``.
        :raises AveException: ``result_path ...``, ``args must be a list of strings``, ``timeout must be an
            integer``; ``RunError``: ``invalid executable...``.
        """

    @sent
    def sdcard_mounted(self) -> bool:
        """Says whether something is mounted where ``$EXTERNAL_STORAGE`` leads."""

    @sent
    def extcard_mounted(self) -> bool:
        """Says whether there is a memory card: the first place of ``$SECONDARY_STORAGE`` that is no USB
        stick's, or without the variable a public volume."""

    @sent
    def set_libc_debug_malloc(self, on: bool, package: str, timeout: float = 45) -> bool:
        """Switches it, as root, restarts Android and waits for a process called ``package``; says whether it
        was on before.

        :raises AveException: ``"on" must be a boolean value``, ``package must be...``, ``timeout must
            be...``, ``Timeout``.
        """

    @sent
    def dump_heap(self, directory: str, package: str, native: bool = False, timeout: float = 30) -> list[str]:
        """Dumps the heap of each process called ``package`` to a directory of the host. Since SDK 14.

        :raises AveException: ``directory must be...``, ``not an existing directory: ...``, ``native must
            be...``, ``no process found for package: ...``, ``Timeout``.
        """

    @sent
    def set_inactive(self, package: str, value: bool) -> None:
        """Makes a package inactive, or active. Since SDK 23."""

    @sent
    def get_inactive(self, package: str) -> str:
        """Shows what ``am get-inactive`` says. Since SDK 23."""

    @sent
    def dumpsys_battery(self, operate: str = "unplug") -> None:
        """Runs a command of ``dumpsys battery``: it believes that it is unplugged. Since SDK 23."""

    @sent
    def dumpsys_deviceidle(self, command: str, para: Optional[str] = None) -> str:
        """Runs a command of ``dumpsys deviceidle``. Since SDK 23."""
