"""Restarts and kills the broker of this home under a job; prints on the left what the job says, on the right what the
broker lists.

Usage: restart_tour.py AVE_BROKER [OPTION...]
"""

import collections
import os
import pathlib
import signal
import subprocess
import sys
import time

import vcsjob

from lists import admin, name, not_booted, taken, wait_until

AVE_BROKER = sys.argv[1:]
RUN = pathlib.Path.home() / ".ave" / "run"
JOB = [sys.executable, str(pathlib.Path(__file__).with_name("restart_job.py"))]
PHONES = 2
LIMIT_S = 60
LEFT_WIDTH = 64

#: What happens in the middle of which step of the job.
RESTARTED_AT, KILLED_AT = ("step 2 begins", "step 3 begins", "step 5 begins"), "step 7 begins"


def left(text):
    print(text, flush=True)


def right(text):
    print(f"{'':{LEFT_WIDTH}}| {text}", flush=True)


def ave_broker(*options):
    """Runs the command; returns how many milliseconds it took."""
    began = time.monotonic()
    command = [*AVE_BROKER, *options, "--home", str(pathlib.Path.home())]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=LIMIT_S)
    return (time.monotonic() - began) * 1000


def lending():
    return int((RUN / "ave-broker.pid").read_text())


def older():
    """The processes that were replaced and still serve somebody."""
    return sorted(int(path.name.rpartition("-")[2]) for path in RUN.glob("elder-*"))


def show():
    """What the broker lists, and who serves it."""
    with admin() as broker:
        held = sorted(map(name, broker.list_allocations_all()))
        free = collections.Counter(profile["type"] for profile in broker.list_available())
    serving = "".join(f", {pid} serves on" for pid in older())
    right(f"process {lending()} lends{serving}")
    for each in held:
        right(f"  held: {each}")
    right(f"  free: {', '.join(f'{kind} x{count}' for kind, count in sorted(free.items()))}")


def restart():
    took_ms = ave_broker("--restart")
    right(f"--- ave-broker --restart: {took_ms:.0f} ms")
    show()


def kill():
    os.kill(lending(), signal.SIGKILL)
    right("--- kill -9")


def start_again():
    took_ms = ave_broker("--start", "--force")
    right(f"--- ave-broker --start --force: {took_ms:.0f} ms")
    wait_until("the phones", LIMIT_S, lambda: not_booted(PHONES))
    wait_until("all to be free", LIMIT_S, taken)
    show()


def run_job(steps):
    """Returns the job's exit status."""
    with subprocess.Popen([*JOB, str(steps)], stdout=subprocess.PIPE, text=True) as job:
        for line in job.stdout:
            said = line.rstrip()
            left(said)
            if said in RESTARTED_AT:
                restart()
            elif said == KILLED_AT:
                kill()
    return job.returncode


def main():
    wait_until("the phones", LIMIT_S, lambda: not_booted(PHONES))
    print(f"{'the job':{LEFT_WIDTH}}| the broker\n{'':-<{LEFT_WIDTH}}+{'':-<44}")
    show()
    status = run_job(8)
    assert status == vcsjob.ERROR, status
    left("(the job has ended; its scheduler runs it again)")
    start_again()
    status = run_job(1)
    assert status == vcsjob.OK, status
    wait_until("all to be free", LIMIT_S, taken)
    show()


if __name__ == "__main__":
    main()
