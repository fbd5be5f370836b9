"""The calls of a workspace.

Each declaration is sent to the equipment as it is called; answers and errors are the equipment's. Time limits
are in seconds, 0 is none. Paths are inside the workspace, or relative to it. (Equipment 4.3.)
"""

from __future__ import annotations

from typing import Any, Optional, Union

from ave.broker._remote import Profile, Remote, sent


class WorkspaceCalls(Remote):
    """What a directory of the lab's host can be asked to do."""

    @sent
    def get_path(self) -> str:
        """Says where the workspace's directory is."""

    @sent
    def get_profile(self) -> Profile:
        """Shows its profile: ``workspace.json`` of the host without the credentials of file server and proxy."""

    @sent
    def get_wifi_ssid(self) -> str:
        """Says the lab network's name, from ``wlan``.

        :raises AveException: ``Fail to get wlan-ssid: ...``.
        """

    @sent
    def get_wifi_pw(self) -> str:
        """Says the lab network's password, from ``wlan``.

        :raises AveException: ``Fail to get wlan-auth: ...``.
        """

    @sent
    def has_tool(self, tool: str) -> bool:
        """Says whether ``run`` would find a tool."""

    @sent
    def run(self, cmd: Union[str, list[str]], timeout: float = 0) -> list[Any]:
        """Runs a tool of the white list; a text is split at white space.

        :returns: ``[code, output, ""]``.
        :raises AveException: ``no such tool available in this workspace: ...``, ``Timeout``.
        """

    @sent
    def make_tempdir(self) -> str:
        """Makes a directory with a random name."""

    @sent
    def make_tempfile(self, path: Optional[str] = None) -> str:
        """Makes an empty file ``tmp...``, in ``path`` if given."""

    @sent
    def write_tempfile(
        self,
        sequence: Union[str, list[str]],
        encoding: str = "utf-8",
        promoted_target: Optional[str] = None,
    ) -> str:
        """Writes a text, or the texts of a list, to a new file; with a target it is promoted, and the target
        is the result.

        :raises AveException: As ``promote``.
        """

    @sent
    def promote(self, source_path: str, target: str, server: str = "flocker") -> Optional[dict[str, Any]]:
        """Makes the link ``target`` to a file, by which it can be pushed to a handset, and uploads it if
        there is a server.

        :raises AveException: ``source file does not exist: ...`` and others.
        """

    @sent
    def cat(self, path: str, encoding: Optional[str] = None, errors: Optional[str] = None) -> Any:
        """Reads a file's bytes, decoded if an encoding is given.

        :returns: Bytes, or text if an ``encoding`` is given.
        :raises AveException: ``Path ... does not exist``, ``... is not a file``.
        """

    @sent
    def get_checksum(self, path: str) -> str:
        """Computes a file's MD5 in hex digits.

        :raises AveException: As ``cat``.
        """

    @sent
    def ls(self, path: str, globstr: str = "*") -> list[str]:
        """Lists what matches a pattern in a directory; hidden files only if the pattern says so."""

    @sent
    def path_exists(self, path: str, file_type: Optional[str] = None) -> bool:
        """Says whether there is such a path; ``file_type`` is ``symlink``, ``directory`` or ``file``."""

    @sent
    def copy(self, src: str, dst: str) -> None:
        """Copies a file or a tree, within 10 s; what is in the way is replaced."""

    @sent
    def delete(self) -> None:
        """Deletes the directory now.

        :raises AveException: Any later call that needs it: ``the workspace is deleted``.
        """

    @sent
    def zip(self, path: Union[str, list[str]], dst: Optional[str] = None) -> str:
        """Packs a path, or a list of them; by default into ``<name>.zip``, ``<name>_1.zip``, ...

        :raises AveException: ``not an existing file or directory``, ``dst`` exists.
        """

    @sent
    def unzip(self, zip_file: str, path: Optional[str] = None, pwd: Optional[str] = None) -> str:
        """Unpacks into ``path``, or into ``<name>``, ``<name>_1``, ...

        :raises AveException: Not an archive, ``path`` exists, an entry that leads outside.
        """

    @sent
    def validate_zip_file(self, filename: str, crc_check: bool = False) -> bool:
        """Says whether a file is an archive; with ``crc_check`` every entry is read."""

    @sent
    def make_git(self, path: str) -> str:
        """Makes a repository with one empty commit.

        :raises AveException: ``can not create git outside workspace``.
        """

    @sent
    def download_git(
        self,
        src: str,
        refspec: str,
        dst: Optional[str] = None,
        timeout: float = 0,
        depth: int = 1,
    ) -> str:
        """Clones or updates a git tree.

        :raises AveException: ``RunError``, ``Timeout``.
        """

    @sent
    def has_git(self, path: str, refspec: str) -> bool:
        """Says whether a tree knows a revision."""

    @sent
    def delete_git(self, path: str) -> None:
        """Deletes a tree."""

    @sent
    def download_jenkins(
        self,
        job_id: str,
        build_id: Optional[Union[int, str]] = None,
        artifacts: Optional[list[str]] = None,
        dst: Optional[str] = None,
        timeout: float = 0,
        base: Optional[str] = None,
    ) -> str:
        """Fetches what a Jenkins job built.

        :raises AveException: ``job has no artifacts: ...``, ``Timeout``.
        """

    @sent
    def download(
        self,
        url: str,
        dst: Optional[str] = None,
        timeout: float = 0,
        output_file: Optional[str] = None,
        proxy: bool = False,
        proxy_user: Optional[str] = None,
        proxy_password: Optional[str] = None,
    ) -> str:
        """Fetches a file over HTTP or HTTPS, named as the server says, else after the URL.

        :raises AveException: ``url is None``, ``proxy url is not set or provided``.
        """

    @sent
    def get_package_name(self, path: str) -> str:
        """Reads the name of an Android package with ``aapt``.

        :raises AveException: ``Could not get package name ...``, as ``cat``.
        """

    @sent
    def get_apk_version(self, apk_path: str) -> int:
        """Reads the version code of an Android package.

        :raises AveException: ``Can not find versionCode ...``, as ``cat``.
        """

    @sent
    def get_aapt_path(self) -> str:
        """Finds the ``aapt`` of ``tools``, else the first of ``PATH``.

        :raises AveException: ``no aapt: ...``.
        """

    @sent
    def make_coverage_report(self, em: str, ec: str, src_tree: Optional[str] = None) -> str:
        """Makes Emma's report in HTML at ``reports/coverage``, packed as ``coverage.tar``; needs Java and
        ``/usr/share/ave/workspace/emma.jar``.

        :raises AveException: ``report file already exists: ...``, ``RunError``, ``Timeout``.
        """

    @sent
    def flocker_initial(self, existing_key: Optional[str] = None, custom_key: Optional[str] = None) -> None:
        """Chooses the key that uploads go to.

        :raises AveException: ``Could not access ...``.
        """

    @sent
    def flocker_push_file(self, src: str, dst: Optional[str] = None, key: Optional[str] = None) -> Profile:
        """Uploads a file.

        :raises AveException: ``pushed file does not exist: ...`` and others.
        """

    @sent
    def flocker_push_string(
        self,
        string: str,
        dst: str,
        key: Optional[str] = None,
        timeout: float = 30,
    ) -> Profile:
        """Appends to an uploaded file, or begins it.

        :raises AveException: ``Timeout``: ``push string timed out``.
        """

    @sent
    def flocker_set_metadata(
        self,
        key: Optional[str] = None,
        contact: Optional[str] = None,
        asset: Optional[str] = None,
        comment: Optional[str] = None,
    ) -> Profile:
        """Changes the description of what was uploaded."""

    @sent
    def flocker_get_file(self, remote: str, local: str) -> None:
        """Fetches an uploaded file.

        :raises AveException: ``Remote file should be relative path: ...``.
        """
