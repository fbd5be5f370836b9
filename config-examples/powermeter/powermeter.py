#!/usr/bin/env python3
"""Drives a power meter that writes one reading a line, `volts amperes`. The template of a driver: replace the
class, keep the rest. Its public methods are the calls of the type; what they raise is what the client gets."""

import inspect
import json
import os
import select
import struct
import sys
import termios
import time

SILENCE_LIMIT_S = 2  # a meter that works writes more often
LINE_BYTES_MAX = 256


class PowerMeter:
    """One meter in the hands of one session."""

    def __init__(self, profile):
        self._node = os.open(profile["device_node"], os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        self._pending = b""
        termios.tcflush(self._node, termios.TCIFLUSH)  # what it wrote when nobody was there
        self._line()  # which may have begun before that

    def read(self):
        """One reading: volts, amperes and watts."""
        volts, amperes = self._reading()
        return {"volts": volts, "amperes": amperes, "watts": volts * amperes}

    def measure(self, duration_s=1.0):
        """Measure for some seconds: number of readings, mean and peak power in watts."""
        if isinstance(duration_s, bool) or not isinstance(duration_s, (int, float)) or not 0 < duration_s <= 3600:
            raise ValueError(f"duration_s must be above 0 and at most 3600, found {duration_s!r}")
        end, watts = time.monotonic() + duration_s, []
        while not watts or time.monotonic() < end:
            volts, amperes = self._reading()
            watts.append(volts * amperes)
        return {"readings": len(watts), "mean": sum(watts) / len(watts), "peak": max(watts)}

    def _line(self):
        while b"\n" not in self._pending:
            if not select.select([self._node], [], [], SILENCE_LIMIT_S)[0]:
                raise TimeoutError(f"the meter was silent for {SILENCE_LIMIT_S} s")
            received = os.read(self._node, LINE_BYTES_MAX)
            if not received:
                raise EOFError("the meter has no more readings")
            self._pending += received
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _reading(self):
        line = self._line()
        try:
            volts, amperes = map(float, line.split())
        except ValueError:
            raise ValueError(f"not a reading: {line!r}") from None
        return volts, amperes


frames_in, frames_out = sys.stdin.buffer, sys.stdout.buffer
sys.stdout = sys.stderr  # standard output is for frames: what is printed goes to the broker's log


def receive():
    header = frames_in.read(4)
    return json.loads(frames_in.read(struct.unpack(">I", header)[0])) if len(header) == 4 else None


def send(message):
    payload = json.dumps(message).encode()
    frames_out.write(struct.pack(">I", len(payload)) + payload)
    frames_out.flush()


def serve(driver_class):
    def raised(error):
        return {"exception": {"type": type(error).__name__, "message": str(error)}}

    try:
        driver = driver_class(receive()["hello"]["profile"])
    except Exception as error:
        return send(raised(error))
    calls = {name: call for name, call in inspect.getmembers(driver, inspect.ismethod) if name[0] != "_"}
    helps = {name: (inspect.getdoc(call) or "").partition("\n")[0] for name, call in calls.items()}
    send({"methods": [{"signature": f"{n}{inspect.signature(c)}", "help": helps[n]} for n, c in calls.items()]})
    while (request := receive()) is not None:
        try:
            if request["method"] not in calls:
                raise AttributeError(f"no such method: {request['method']}")
            send({"result": calls[request["method"]](**request["params"])})
        except Exception as error:
            send(raised(error))


if __name__ == "__main__":
    serve(PowerMeter)
