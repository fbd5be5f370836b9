"""One program on a terminal of its own, ended with everything it started. (Equipment 6.3.)"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import BinaryIO, Optional

from vcsjob._status import KILLED, TIMEOUT

#: Bytes copied at a time.
CHUNK_BYTES = 64 << 10
#: What a process outside the group still writes after the end is copied for so long at most.
DRAIN_LIMIT_S = 1.0


def run(program: str, environment: Mapping[str, str], log: BinaryIO, limit_s: Optional[float]) -> int:
    """Runs a program without arguments and copies what it writes, as it writes it.

    :arg environment: All that it sees.
    :arg limit_s: Seconds until it is killed; ``None`` for no limit.
    :returns: Its exit status, KILLED or TIMEOUT.
    :raises OSError: It can not be started.
    """
    terminal, its_end = os.openpty()
    try:
        try:
            process = subprocess.Popen(
                [program], env=environment, stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True
            )
        finally:
            os.close(its_end)
        try:
            in_time = _copy(process, terminal, log, limit_s)
        finally:  # also on Ctrl-C; before it is reaped, while the group's number is still its own
            end_group(process)
        _drain(terminal, log)
    finally:
        os.close(terminal)
    if not in_time:
        return TIMEOUT
    return process.returncode if process.returncode >= 0 else KILLED


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a process that leads its group, and the group, and waits for the process."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _copy(process: subprocess.Popen[bytes], terminal: int, log: BinaryIO, limit_s: Optional[float]) -> bool:
    """Copies until the program ends; says whether that was in time."""
    deadline = None if limit_s is None else time.monotonic() + limit_s
    ended = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(terminal, select.POLLIN)
        while True:
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                return False
            ready = {fd for fd, _ in poll.poll(None if left_s is None else left_s * 1000 + 1)}
            if ended in ready:
                return True
            if terminal in ready and not _pass_on(terminal, log):
                poll.unregister(terminal)  # it closed its terminal and goes on
    finally:
        os.close(ended)


def _drain(terminal: int, log: BinaryIO) -> None:
    """Copies what was written before the end."""
    deadline = time.monotonic() + DRAIN_LIMIT_S
    while select.select([terminal], [], [], 0)[0] and time.monotonic() < deadline:
        if not _pass_on(terminal, log):
            return


def _pass_on(terminal: int, log: BinaryIO) -> bool:
    """Copies what is there; says whether there may be more."""
    try:
        chunk = os.read(terminal, CHUNK_BYTES)
    except OSError:  # nobody has the other end any more
        return False
    log.write(chunk)
    log.flush()
    return bool(chunk)
