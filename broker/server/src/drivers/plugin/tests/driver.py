"""A driver for tests: does what its caller wants, and what its profile's "fault" says. What happened to it
stands in the file "story" of its home, one word a line."""

import json
import os
import signal
import struct
import subprocess
import sys
import time

METHODS = [
    "echo(value=None)", "fail(exception)", "hang(timeout=0)", "die(status)", "write(text)", "twice()",
    "size(bytes)", "environment()", "child()", "where()", "tell(text, lines=1)", "reset()",
]


def receive():
    header = sys.stdin.buffer.read(4)
    if len(header) < 4:
        return None
    return json.loads(sys.stdin.buffer.read(struct.unpack(">I", header)[0]))


def frame(message):
    payload = json.dumps(message).encode()
    return struct.pack(">I", len(payload)) + payload


def send(*messages):
    sys.stdout.buffer.write(b"".join(map(frame, messages)))
    sys.stdout.buffer.flush()


hello = receive()["hello"]
profile, fault = hello["profile"], hello["profile"].get("fault", "")


def story(word):
    with open(os.path.join(hello["home"], "story"), "a") as file:
        file.write(word + "\n")


def answer(method, params):
    if method == "echo":
        send({"result": params["value"]})
    elif method == "fail":
        send({"exception": params["exception"]})
    elif method == "hang":
        story("hang")
        time.sleep(1000)
    elif method == "die":
        if params["status"] < 0:
            os.kill(os.getpid(), -params["status"])
        sys.exit(params["status"])
    elif method == "write":
        sys.stdout.buffer.write(params["text"].encode())
        sys.stdout.buffer.flush()
    elif method == "twice":
        send({"result": 1}, {"result": 2})
    elif method == "size":
        send({"result": "x" * params["bytes"]})
    elif method == "environment":
        send({"result": dict(os.environ)})
    elif method == "child":
        send({"result": subprocess.Popen(["sleep", "1000"]).pid})
    elif method == "where":
        send({"result": [os.getcwd(), os.getpid(), hello]})
    elif method == "tell":
        print((params["text"] + "\n") * params["lines"], end="", file=sys.stderr, flush=True)
        send({"result": None})
    elif method == "reset":
        story("reset")
        if fault == "reset fails":
            send({"exception": {"type": "Jammed", "message": "the screw is still loose"}})
        elif fault == "reset hangs":
            time.sleep(1000)
        else:
            send({"result": None})
    else:
        raise AttributeError(method)


story("open")
if fault == "refuses":
    send({"exception": {"type": "Offline", "message": "no such cable", "cable": 7}})
    sys.exit()
elif fault == "dies while opening":
    sys.exit("no module named luck")
elif fault == "hangs while opening":
    time.sleep(1000)
elif fault == "prints while opening":
    print("Hello, world!", flush=True)
elif fault == "waits while opening":
    while not os.path.exists(os.path.join(hello["home"], "go")):
        time.sleep(0.01)
elif fault == "has its own profile":
    METHODS.append("get_profile()")
if fault == "ignores the end":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

send({"methods": [{"signature": signature, "help": ""} for signature in METHODS]})
while (call := receive()) is not None:
    if call["method"] == "get_profile":
        send({"result": "its own"})
    try:
        answer(call["method"], call["params"])
    except AttributeError as error:
        send({"exception": {"type": "AttributeError", "message": f"no such method: {error}"}})
story("end")
if fault == "ignores the end":
    time.sleep(1000)
elif fault == "ends badly":
    sys.exit("the lid is open")
