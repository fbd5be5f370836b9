"""How fast a Python script borrows: one JSON line per figure. Usage: bench.py [--home HOME] [--seconds S]

Without a home it starts a broker of its own (``AVE_BROKER``) with 64 pieces that nobody drives.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from ave.broker import Broker

PIECES = 64
WANTED = {"type": "wlan"}
PROCESSES = 8
ON_LOOPBACK = {"port": 0, "listen": "127.0.0.1", "host": "127.0.0.1"}


def cycles(home, seconds, begin):
    """How often in so many seconds one client can connect, get one piece, and disconnect."""
    with Broker(home=home) as broker:
        broker.get(WANTED)
    begin.wait()
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        with Broker(home=home) as broker:
            broker.get(WANTED)
        count += 1
    return count


def cycles_a_second(home, seconds, processes):
    with multiprocessing.get_context("spawn").Manager() as manager:
        begin = manager.Barrier(processes)
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            counts = pool.starmap(cycles, [(home, seconds, begin)] * processes, chunksize=1)
    return sum(counts) / seconds


def round_trips_us(home, seconds, call):
    """Sorted microseconds of `call(broker)` on a warm connection."""
    times, end = [], time.perf_counter() + seconds
    with Broker(home=home) as broker:
        call(broker)
        while (began := time.perf_counter()) < end:
            call(broker)
            times.append((time.perf_counter() - began) * 1e6)
    return sorted(times)


def get_and_yield(broker):
    broker.yield_resources(broker.get(WANTED))


@contextlib.contextmanager
def started(home, files):
    """A running broker whose configuration consists of these files."""
    configure(home, files)
    with start(home) as broker:
        try:
            assert broker.stdout.readline(), "the broker did not start"
            yield broker
        finally:
            broker.terminate()


def configure(home, files):
    config = pathlib.Path(home, ".ave", "config")
    config.mkdir(parents=True)
    for name, content in files.items():
        (config / f"{name}.json").write_text(json.dumps(content))


def start(home):
    """A broker that has yet to say on its first line that it is ready."""
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    command = [os.environ["AVE_BROKER"], "--foreground", "--home", str(home), *as_root]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@contextlib.contextmanager
def lab():
    """The home of a broker with pieces to lend."""
    equipment = [{**WANTED, "uid": str(n)} for n in range(PIECES)]
    files = {"broker": ON_LOOPBACK, "adb_server": {"port": 0}, "equipment": equipment}
    with tempfile.TemporaryDirectory() as home, started(home, files):
        yield home


def report(figure, value, unit, target=None, ok=None, ratio=None):
    line = {"figure": f"python: {figure}", "value": round(value, 1), "unit": unit}
    print(json.dumps({**line, "ratio": ratio, "target": target, "ok": ok}), flush=True)


def measure(home, seconds):
    """Prints every figure. Whether the ratio holds that does not depend on the machine."""
    one, eight = (cycles_a_second(home, seconds, processes) for processes in (1, PROCESSES))
    warm = round_trips_us(home, seconds, get_and_yield)
    p50, p99 = warm[len(warm) // 2], warm[len(warm) * 99 // 100]
    more = round(eight / one, 2)
    report("connect, get, disconnect, 1 client", one, "1/s", "at least 800", one >= 800)
    report("connect, get, disconnect, 8 clients to 1", eight, "1/s", "ratio at least 1", more >= 1, more)
    report("get and yield, warm, p50", p50, "us", "at most 300", p50 <= 300)
    report("get and yield, warm, p99", p99, "us")
    return more >= 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home")
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    with lab() if options.home is None else contextlib.nullcontext(options.home) as home:
        return 0 if measure(home, options.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
