"""Brings a tree of jobs here with git: all of it within one time limit, or nothing. (Equipment 6.4.)"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional
from urllib.parse import urlsplit

from ave.exceptions import AveException
from vcsjob._process import end_group
from vcsjob._status import NOFETCH, OK

#: Seconds for a whole fetch, unless the caller says otherwise.
TIMEOUT_S = 600

_PROTOCOLS = ("git", "ssh", "file")
#: What would lead git to another tree than the one meant.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")


def fetch(src: str, dst: str, refspec: str, depth: int = 1, timeout: float = TIMEOUT_S) -> int:
    """Fetches a revision of a tree of jobs and checks it out.

    :arg src: The path of a git tree, or its URL: ``file``, ``git`` or ``ssh``.
    :arg dst: A path of this host. A new or empty directory, or a git tree that is brought to the revision;
        what was changed there by hand is not lost.
    :arg refspec: A branch, a tag or a whole commit id.
    :arg depth: Commits of history to fetch.
    :arg timeout: Seconds for everything; 0 for no limit.
    :returns: OK; NOFETCH if it failed, which was explained on standard error. A directory that a failed
        fetch would have made does not exist.
    :raises AveException: Nothing was tried: ``supported protocols: git``, no local destination, or no
        revision.
    """
    target = Path(_local(dst, "destination"))
    source = _source(src)
    if not refspec or refspec.startswith("-"):
        raise AveException(f"not a revision: {refspec!r}")
    new = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    deadline = time.monotonic() + timeout if timeout else None
    complete = False
    try:
        if new:
            target.mkdir(parents=True, exist_ok=True)
            _git(target, deadline, "init", "--quiet")
        elif not (target / ".git").exists():
            raise AveException(f"destination is not a git tree: {target}")
        shallow = new or (target / ".git" / "shallow").exists()  # a full history stays full
        limits = [f"--depth={depth}"] if shallow else []
        _git(target, deadline, "fetch", "--quiet", *limits, "--", source, refspec)
        _git(target, deadline, "checkout", "--quiet", "--detach", "FETCH_HEAD")
        complete = True
    except (AveException, OSError) as error:
        print(f"vcsjob: could not fetch {src}: {error}", file=sys.stderr)
    finally:
        if new and not complete:
            shutil.rmtree(target, ignore_errors=True)
    return OK if complete else NOFETCH


def _source(src: str) -> str:
    scheme = urlsplit(src).scheme
    if scheme in ("", "file"):
        path = _local(src, "source")
        if not ((Path(path) / ".git").exists() or (Path(path) / "objects").is_dir()):
            raise AveException(f"not a git tree: {src} (supported protocols: git)")
        return f"file://{os.path.abspath(path)}"
    if scheme not in _PROTOCOLS:
        raise AveException(f"not supported: {src} (supported protocols: {', '.join(_PROTOCOLS)})")
    return src


def _local(place: str, what: str) -> str:
    url = urlsplit(place)
    if not place or url.scheme not in ("", "file") or (url.scheme and url.netloc):
        raise AveException(f"{what} is not a path of this host: {place!r}")
    return url.path if url.scheme else place


def _git(tree: Path, deadline: Optional[float], *words: str) -> None:
    """Runs git in that tree; its complaint becomes the exception's message."""
    environment = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    environment["GIT_TERMINAL_PROMPT"] = "0"  # nobody may be there to answer
    environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    process = subprocess.Popen(
        ["git", *words],
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        left_s = None if deadline is None else max(deadline - time.monotonic(), 0)
        complaint = process.communicate(timeout=left_s)[1]
    except subprocess.TimeoutExpired:
        raise AveException(f"git {words[0]} timed out") from None
    finally:
        end_group(process)
        assert process.stderr is not None  # it was asked for
        process.stderr.close()
    if process.returncode:
        raise AveException(f"git {words[0]} failed: {complaint.decode(errors='replace').strip()}")
