"""A broker for each test: the real binary with the example lab, in a home of its own."""

import contextlib
import functools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import types

import pytest

import ave.config
from ave.broker import Broker

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = os.environ.get("AVE_BROKER", str(TARGET / "debug" / "ave-broker"))
WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # not even a killed test leaves a broker
AS_ROOT = ["--allow-root"] if os.geteuid() == 0 else []
KEYS = {"admin": "Some random stuff... 1234!", "share": "please stick to printable characters, ok?"}
LIMIT_S = 60  # of what must come: machines are slow at times, and a test that passes never waits that long


class Lab:
    """A running broker, and what a test wants to know of it."""

    guard = None  # stops whatever has replaced the first process, once its input ends

    def __init__(self, home, files=None, **configuration):
        self.home = home
        self.config = home / ".ave" / "config"
        shutil.copytree(ROOT / "config-examples" / "lab", self.config)
        self.write("authkeys", KEYS)
        self.write("adb_server", {"port": 0})  # no test meets an adb server of this host
        nothing = {"usb_devices": str(home / "usb"), "device_nodes": str(home / "dev")}  # nor its boards
        for name, members in {"broker": {**nothing, **configuration}, **(files or {})}.items():
            known = self.read(name) if (self.config / f"{name}.json").exists() else {}
            self.write(name, {**known, **members} if isinstance(members, dict) else members)
        command = [*WITH_US, BINARY, "--foreground", "--home", str(home), *AS_ROOT]
        with open(home / "log", "w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        ready = self.process.stdout.readline().strip()
        assert ready.startswith("ave-broker listening on "), (home / "log").read_text()
        host, _, port = ready.rpartition(" ")[2].rpartition(":")
        self.address = (host, int(port))

    def read(self, name):
        return json.loads((self.config / f"{name}.json").read_text())

    def write(self, name, content):
        path = self.config / f"{name}.json"
        path.write_text(json.dumps(content))
        path.chmod(0o600)

    def admin(self):
        return Broker(authkey=KEYS["admin"], home=self.home)

    def share(self):
        return Broker(authkey=KEYS["share"], home=self.home)

    def workspaces(self):
        """The directories of workspaces that exist."""
        root = self.home / ".ave" / "workspaces"
        return sorted(path.name for path in root.iterdir() if path.is_dir()) if root.exists() else []

    def wait_until_free(self):
        """Waits until nobody holds anything and no workspace exists."""
        with self.admin() as admin:
            wait_for(lambda: not admin.list_allocations_all() and not admin.list_collateral_all())
        wait_for(lambda: not self.workspaces())

    def command(self, option):
        return [BINARY, option, "--home", str(self.home), *AS_ROOT]

    def restart(self):
        """Replaces the broker's process."""
        if not self.guard:
            guard = ["sh", "-c", 'cat >/dev/null; "$@"', "guard", *self.command("--stop")]
            self.guard = subprocess.Popen(guard, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        before = self.serving()
        ended = subprocess.run(self.command("--restart"), capture_output=True, text=True, timeout=LIMIT_S * 3)
        assert ended.returncode == 0, ended
        assert self.serving() != before

    def serving(self):
        """The process that lends."""
        return int((self.home / ".ave" / "run" / "ave-broker.pid").read_text())

    def stop(self):
        """Ends the broker, however the test went."""
        if self.guard:
            self.guard.stdin.close()
            self.guard.wait(LIMIT_S)
        self.process.terminate()
        try:
            self.process.wait(LIMIT_S)
        finally:
            self.process.kill()
            self.process.stdout.close()


def wait_for(condition, limit_s=LIMIT_S):
    """Waits until a condition holds; returns what it returned."""
    deadline = time.monotonic() + limit_s
    while not (held := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
    return held


@pytest.fixture
def start_lab(tmp_path, monkeypatch):
    """Starts a broker with additions to its ``broker.json``, and in ``files`` to others, each by its name.
    ``Broker()`` finds it, the last one of several, which live in ``folder`` each."""
    labs = []

    def start(folder="", **configuration):
        lab = Lab(tmp_path / folder, **configuration)
        labs.append(lab)
        monkeypatch.setenv("HOME", str(lab.home))
        monkeypatch.setattr(ave.config, "USER_FILE", tmp_path / "no such file")
        return lab

    yield start
    try:
        for lab in labs:
            if lab.guard or lab.process.poll() is None:
                lab.wait_until_free()
    finally:
        for lab in labs:
            lab.stop()
    assert not [lab for lab in labs if lab.workspaces()]


@pytest.fixture
def lab(start_lab):
    """A broker with the example lab. Afterwards nothing may be left behind."""
    return start_lab()


@pytest.fixture
def phone(tmp_path_factory):
    """A simulated phone at a real adb server: its ``serial``, its ``root`` folder, the server's ``adb_port``, and
    ``order(text)``, which has it unplugged and plugged."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ["adb", "-L", f"tcp:localhost:{port}", "nodaemon", "server"]
    home = tmp_path_factory.mktemp("adb")
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553"}
    # It ends with its input, so that not even a killed test leaves a server.
    guard = ["sh", "-c", '"$@" </dev/null & cat >/dev/null; kill -9 $!', "guard", *server]
    pipe = subprocess.PIPE
    with open(home / "log", "w") as log, subprocess.Popen(guard, stdin=pipe, stdout=log, stderr=log, env=env):
        wait_for(lambda: answers(port))
        simulated = [str(pathlib.Path(BINARY).with_name("ave-simulated")), "phone", "--connect", str(port)]
        with subprocess.Popen(simulated, stdin=pipe, stdout=pipe, text=True) as phone:
            about = json.loads(phone.stdout.readline())
            order = functools.partial(print, file=phone.stdin, flush=True)
            yield types.SimpleNamespace(**about, adb_port=port, order=order)


def answers(port):
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), LIMIT_S):
        return True
    return False


@pytest.fixture
def phone_lab(start_lab, phone):
    """A broker with that phone, booted, and the example lab's workspaces, but none of its equipment."""
    lab = start_lab(files={"adb_server": {"port": phone.adb_port}, "equipment": []})
    booted = {"serial": phone.serial, "power_state": "boot_completed"}
    with lab.admin() as admin:
        wait_for(lambda: admin.list_available({"type": "handset", **booted}))
    return lab


@pytest.fixture
def broker(lab):
    """A client of that broker."""
    with Broker() as broker:
        yield broker


@pytest.fixture
def admin(lab):
    """An administrator of that broker."""
    with lab.admin() as admin:
        yield admin
