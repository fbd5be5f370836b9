"""The driver of one socket of a board: passes its calls on to the board's helper, and starts that if need be."""

import json
import os
import socket
import struct
import subprocess
import sys
import time

START_LIMIT_S = 20

frames_in, frames_out = sys.stdin.buffer, sys.stdout.buffer


def receive():
    header = frames_in.read(4)
    return json.loads(frames_in.read(struct.unpack(">I", header)[0])) if len(header) == 4 else None


def send(message):
    payload = json.dumps(message).encode()
    frames_out.write(struct.pack(">I", len(payload)) + payload)
    frames_out.flush()


def connect(path):
    """A connection to the helper; several drivers may find at once that there is none."""
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            return connection.makefile("rw")
        except OSError:
            if time.monotonic() > deadline:
                raise
            helper = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "helper.py"), path]
            nowhere = subprocess.DEVNULL  # and a session of its own: it outlives this driver
            # It is no single broker process's own: others may come and go while it serves.
            environment = {name: os.environ[name] for name in os.environ if name != "AVE_BROKER_PID"}
            streams = {"stdin": nowhere, "stdout": nowhere, "stderr": nowhere}
            subprocess.Popen(helper, env=environment, start_new_session=True, **streams)
            time.sleep(0.05)


hello = receive()["hello"]
helper = connect(os.path.join(hello["home"], ".ave", "run", "board"))
send({"methods": [
    {"signature": "switch(on)", "help": "Switch this socket."},
    {"signature": "state()", "help": "The whole board and the number of its helper's process."},
]})
while (call := receive()) is not None:
    request = {"socket": hello["profile"]["uid"], "method": call["method"], **call["params"]}
    helper.write(json.dumps(request) + "\n")
    helper.flush()
    send(json.loads(helper.readline()))
