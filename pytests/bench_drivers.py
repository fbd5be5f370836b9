"""What a program in between costs: one JSON line per figure.

The same small call is made of a piece that the broker drives itself, and of one that a Python program drives.
"""

import contextlib
import json
import pathlib
import sys
import tempfile
import time

from ave.broker import Broker

from bench import ON_LOOPBACK, report, started

CALLS = 2000
WARM_UP = 100
DESCRIPTOR = {
    "type": "echo",
    "identity": "uid",
    "driver": {"command": [sys.executable, "./echo.py"]},
    "limits": {"open_s": 30},
}
DRIVER = """
import json, struct, sys

def send(message):
    payload = json.dumps(message).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(payload)) + payload)
    sys.stdout.buffer.flush()

def receive():
    header = sys.stdin.buffer.read(4)
    return json.loads(sys.stdin.buffer.read(struct.unpack(">I", header)[0])) if header else None

receive()
send({"methods": [{"signature": "get_path()", "help": "A path."}]})
while receive() is not None:
    send({"result": "/tmp"})
"""


@contextlib.contextmanager
def lab():
    """The home of a broker that lends workspaces and one piece with a program."""
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder, "home")
        types = home / ".ave" / "equipment.d"
        types.mkdir(parents=True)
        (types / "echo.json").write_text(json.dumps(DESCRIPTOR))
        (types / "echo.py").write_text(DRIVER)
        files = {
            "broker": {**ON_LOOPBACK, "open_limit_s": 30},
            "adb_server": {"port": 0},
            "workspace": {"root": str(pathlib.Path(folder, "workspaces")), "tools": {}},
            "equipment": [{"type": "echo", "uid": "1"}],
        }
        with started(home, files):
            yield str(home)


def median_us(call):
    """The median of many calls, in microseconds."""
    for _ in range(WARM_UP):
        call()
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e6)
    return sorted(times)[CALLS // 2]


def main():
    with lab() as home, Broker(home=home, timeout=60) as broker:
        workspace, echo = broker.get({"type": "workspace"}, {"type": "echo"})
        built_in, program = median_us(workspace.get_path), median_us(echo.get_path)
        more = program - built_in
        report("call of a built-in driver, p50", built_in, "us")
        report("call of a program's driver, p50 above that", more, "us", "at most 150", more <= 150)


if __name__ == "__main__":
    sys.exit(main())
