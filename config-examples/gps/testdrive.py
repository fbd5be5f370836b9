#!/usr/bin/env python3
"""Drives a satellite simulator through its control host, for the type that testdrive.json describes.

The control host has room for one: whoever connects throws out whoever uses the simulator by hand. So only a
session that holds the piece connects, and the piece comes from a list in a file: nothing ever probes the port.
"""

import inspect
import json
import socket
import struct
import sys

PORT = 6800
ANSWER_LIMIT_S = 5
ANSWER_BYTES_MAX = 4096


class ControlHostLost(Exception):
    """Nobody knows what the simulator does now."""


class Refused(Exception):
    """The control host said no."""


class TestDrive:
    """One simulator in the hands of one session. Its public methods are the calls of the type."""

    def __init__(self, profile):
        self._address = (profile["host"], profile.get("port", PORT))
        self._connect()

    def load_scenario(self, name):
        """Load a scenario of the control host, ready to start."""
        if not isinstance(name, str) or not name or any(c.isspace() for c in name):
            raise ValueError(f"name must be a scenario's name without spaces, found {name!r}")
        self._ask("LOAD", name)

    def start(self):
        """Start the loaded scenario, or go on after a stop."""
        self._ask("START")

    def stop(self):
        """Stop where the scenario is now."""
        self._ask("STOP")

    def set_position(self, latitude, longitude, altitude=0.0):
        """Move the receiver: degrees north, degrees east, metres above the sea."""
        for what, value, limit in [("latitude", latitude, 90), ("longitude", longitude, 180)]:
            if not -limit <= number(what, value) <= limit:
                raise ValueError(f"{what} must be from -{limit} to {limit}, found {value}")
        self._ask("POSITION", float(latitude), float(longitude), float(number("altitude", altitude)))

    def get_status(self):
        """What it does: scenario, running, position."""
        return json.loads(self._ask("STATUS"))

    def reset(self):
        """Stop, and forget scenario and position. The broker calls this after every session."""
        if self._lines is None:
            self._connect()
        self._ask("STOP")
        self._ask("REWIND")

    def _connect(self):
        self._lines = None
        try:
            connection = socket.create_connection(self._address, timeout=ANSWER_LIMIT_S)
        except OSError as error:
            raise ControlHostLost("no control host at {}:{}: {}".format(*self._address, error)) from None
        self._lines = connection.makefile("rw", encoding="utf-8", newline="\n")

    def _ask(self, *words):
        """One line to the control host and its answer; after a loss only a reset connects again."""
        try:
            if self._lines is None:
                raise OSError("the connection is gone")
            self._lines.write(" ".join(map(str, words)) + "\n")
            self._lines.flush()
            answer = self._lines.readline(ANSWER_BYTES_MAX)
            if not answer.endswith("\n"):
                raise OSError("it closed the connection")
        except OSError as error:
            self._lines = None
            text = "lost the control host at {}:{}: {}".format(*self._address, error)
            raise ControlHostLost(text) from None
        verdict, _, text = answer.strip().partition(" ")
        if verdict != "OK":
            raise Refused(text)
        return text


def number(what, value):
    """The number a caller gave."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{what} must be a number, found {value!r}")
    return value


# What follows is the same in every driver.

frames_in, frames_out = sys.stdin.buffer, sys.stdout.buffer
sys.stdout = sys.stderr  # standard output is for frames: what is printed goes to the broker's log


def receive():
    """The next frame; None when the broker is done with this driver."""
    header = frames_in.read(4)
    return json.loads(frames_in.read(struct.unpack(">I", header)[0])) if len(header) == 4 else None


def send(message):
    """One frame."""
    payload = json.dumps(message).encode()
    frames_out.write(struct.pack(">I", len(payload)) + payload)
    frames_out.flush()


def send_error(error):
    """An exception, as the client will get it."""
    send({"exception": {"type": type(error).__name__, "message": str(error)}})


def serve(driver_class):
    """Makes the calls of one session."""
    try:
        driver = driver_class(receive()["hello"]["profile"])
    except Exception as error:
        return send_error(error)
    calls = {name: call for name, call in inspect.getmembers(driver, inspect.ismethod) if name[0] != "_"}
    signatures = {name: name + str(inspect.signature(call)) for name, call in calls.items()}
    helps = {name: (inspect.getdoc(call) or "").partition("\n")[0] for name, call in calls.items()}
    send({"methods": [{"signature": signatures[name], "help": helps[name]} for name in calls]})
    while (request := receive()) is not None:
        try:
            if request["method"] not in calls:
                raise AttributeError(f"no such method: {request['method']}")
            send({"result": calls[request["method"]](**request["params"])})
        except Exception as error:
            send_error(error)


if __name__ == "__main__":
    serve(TestDrive)
