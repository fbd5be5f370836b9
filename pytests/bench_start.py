"""How fast a broker that was killed with 10,000 pieces is there again: one JSON line per figure.

The first start finds no journal and begins one.
"""

import json
import pathlib
import tempfile
import time

from ave.broker import Broker

from bench import ON_LOOPBACK, configure, start

PIECES = 10_000
LENT = 20
STARTS = 9
ANSWERS_WITHIN_MS = 200


def piece(n):
    said = {"product.model": f"model {n % 10}", "platform": "android", "sysfs_path": f"/sys/devices/{n}"}
    return {"type": "handset", "serial": f"serial-{n}", "power_state": "boot_completed", **said}


def start_and_kill(home, lent):
    """Milliseconds from the start to the first grant, and what the broker worked in them. Then it is killed."""
    began = time.perf_counter()
    with start(home) as broker:
        try:
            assert broker.stdout.readline(), "the broker did not start"
            with Broker(home=home) as client:
                client.get(piece(lent.start))
                answered, worked = time.perf_counter(), cpu_ms(broker.pid)
                for n in lent[1:]:
                    client.get(piece(n))
                broker.kill()
        finally:
            broker.kill()
    return (answered - began) * 1e3, worked


def cpu_ms(pid):
    """The processor's time of the threads of a process."""
    threads = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e6


def report(figure, value, target=None):
    line = {"figure": f"start after a kill, {PIECES} pieces: {figure}", "value": round(value, 1), "unit": "ms"}
    aim = {"target": f"at most {target}", "ok": value <= target} if target else {"target": None, "ok": None}
    print(json.dumps({**line, "ratio": None, **aim}), flush=True)


def main():
    with tempfile.TemporaryDirectory() as home:
        equipment = [piece(n) for n in range(PIECES)]
        configure(home, {"broker": ON_LOOPBACK, "adb_server": {"port": 0}, "equipment": equipment})
        fresh, *times = [start_and_kill(home, range(n * LENT, (n + 1) * LENT)) for n in range(STARTS + 1)]
    answered, worked = (sorted(column) for column in zip(*times, strict=True))
    report("answers, median", answered[STARTS // 2], ANSWERS_WITHIN_MS)
    report("answers, longest", answered[-1])
    report("processor's time, median", worked[STARTS // 2])
    report("the first start, without a journal", fresh[0])


if __name__ == "__main__":
    main()
