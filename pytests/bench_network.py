"""What brokers cost each other: one JSON line per figure. Only the ratio can fail.

Brokers are real where they answer clients; shares that only report are played, with the calls of a broker.
"""

import contextlib
import itertools
import json
import os
import pathlib
import secrets
import socket
import sys
import tempfile
import time

from ave.broker import Broker

from bench import ON_LOOPBACK, started

GETS = 1000
CYCLES = 200
CHANGES = 50
SHARES = 100
PIECES = 1000
CPU_SECONDS = 10
REPORT_PIECES_MAX = 250
LIMIT_S = 30
LOOK_AGAIN_S = 0.001
NO_ADB = {"port": 0}
KIND = {"type": "wlan"}
OURS = {**KIND, "pretty": "ours"}


class Lab:
    """A running broker, and what a bench wants to know of it."""

    def __init__(self, folder, process):
        keys = json.loads((folder / ".ave" / "config" / "authkeys.json").read_text())
        self.process, self.share_key = process, keys["share"]
        self.admin = Broker(home=folder, authkey=keys["admin"])
        self.address = self.admin.address

    def client(self):
        return Broker(self.address, LIMIT_S)

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def knows(self, uid, **members):
        return bool(self.admin.list_equipment({**KIND, "uid": uid, **members}))


@contextlib.contextmanager
def lab(pieces=0, host="127.0.0.1", remote=None):
    """A broker whose pieces are ``ours-0`` and so on."""
    equipment = [{**OURS, "uid": f"ours-{n}"} for n in range(pieces)]
    broker = {**ON_LOOPBACK, "host": host, "listen": host, "remote": remote}
    with tempfile.TemporaryDirectory() as home:
        files = {"broker": broker, "adb_server": NO_ADB, "equipment": equipment}
        with started(home, files) as process:
            yield Lab(pathlib.Path(home), process)


def forwards_to(other):
    host, port = other.address
    return {"policy": "forward", "host": host, "port": port}


def shares_with(master):
    host, port = master.address
    return {"policy": "share", "host": host, "port": port, "authkey": master.share_key}


class PlayedShare:
    """A connection that reports pieces, as if a broker at `address` had them."""

    def __init__(self, master, address, uids, **members):
        self.uids, self._address, self._id, self._members = uids, list(address), secrets.token_hex(8), members
        self._master = Broker(master.address, LIMIT_S, master.share_key)
        self._master.share_hello({"id": self._id, "version": 1, "silence_limit_s": 300})
        for n in range(0, len(uids), REPORT_PIECES_MAX):
            self.report(uids[n : n + REPORT_PIECES_MAX], whole=n == 0)

    def report(self, uids, whole=False, **members):
        pieces = [{**KIND, "uid": uid, **self._members, **members} for uid in uids]
        changed = [{"profile": piece, "taken": [], "holder": None, "path": [self._id]} for piece in pieces]
        self._master.share_update(self._address, {"whole": whole, "changed": changed, "gone": []})

    def close(self):
        self._master.close()


@contextlib.contextmanager
def played_shares(master, count):
    """So many, each with its pieces, at addresses where nobody is; they come first in the order of addresses."""
    with contextlib.ExitStack() as stack:
        shares = []
        for n in range(count):
            uids = [f"{n}-{piece}" for piece in range(PIECES)]
            shares.append(PlayedShare(master, ("127.0.0.1", n + 1), uids, pretty="theirs"))
            stack.callback(shares[-1].close)
        if shares:
            wait_until(lambda: master.knows(shares[-1].uids[-1]), "the last piece")
        yield shares


def wait_until(true, what):
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline, f"waited {LIMIT_S} s for {what}"
        time.sleep(LOOK_AGAIN_S)


def seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def middle(times):
    return sorted(times)[len(times) // 2]


def get_us(*brokers):
    """The median microseconds of `get` of each of these brokers, asked in turns."""
    times = [[] for _ in brokers]
    for _ in range(GETS):
        for broker, ours in zip(brokers, times):
            granted = []
            ours.append(seconds(lambda: granted.append(broker.get(OURS))) * 1e6)
            broker.yield_resources(*granted)
    return [middle(ours) for ours in times]


def hop():
    """What one hop of forwarding adds to `get`."""
    with lab(PIECES) as far, lab(remote=forwards_to(far)) as near, far.client() as direct, near.client() as through:
        local, forwarded = get_us(direct, through)
    report("get of one broker, p50", local, "us")
    more = forwarded - local
    report("one hop of forwarding, p50 above that", more, "us", "at most 400", more <= 400)


@contextlib.contextmanager
def master_of(pieces, *, shares=0):
    """A master of one real broker, which comes last in the order of addresses, and of played ones."""
    with lab() as master, played_shares(master, shares) as played:
        with lab(pieces, host="127.0.0.9", remote=shares_with(master)):
            wait_until(lambda: master.knows(f"ours-{pieces - 1}"), "the share")
            yield master, played


def crowd():
    """What the number of shares does to `get` through a master."""
    with master_of(PIECES) as (few, _), master_of(PIECES, shares=SHARES - 1) as (many, _):
        with few.client() as one, many.client() as hundred:
            alone, crowded = get_us(one, hundred)
    ratio = crowded / alone
    report("get through a master of 1 share, p50", alone, "us")
    return report(f"of {SHARES} shares", crowded, "us", "ratio at most 1.5", ratio <= 1.5, ratio)


def changes():
    """Until a master shows what changed at a share."""
    times = []
    with lab() as master, lab(1, remote=shares_with(master)) as share:
        with Broker(share.address, LIMIT_S, share.share_key) as lister:
            wait_until(lambda: master.knows("ours-0"), "the share")
            for n in range(CHANGES):
                began = time.perf_counter()
                lister.add_equipment("local", [{**KIND, "uid": "ours-0", "pretty": str(n)}])
                wait_until(lambda: master.knows("ours-0", pretty=str(n)), "the change")
                times.append((time.perf_counter() - began) * 1e3)
    report("change at a share in the master's list, p50", middle(times), "ms")
    report("the longest", max(times), "ms", "at most 150", max(times) <= 150)


@contextlib.contextmanager
def mute():
    """The address of somebody who accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


@contextlib.contextmanager
def black_hole():
    """An address that does not even answer who knocks: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(listener.getsockname())
        yield listener.getsockname()


def dead_share(name, dead):
    """What a share adds to the `get` of others that is asked first and does not answer. A broker asks those it
    knows to be slow last, until it hears of them: so it hears each time."""
    uids = [f"dead-{n}" for n in range(PIECES)]
    times = [], []
    with master_of(PIECES) as (sound, _), master_of(PIECES) as (troubled, _), dead() as address:
        with contextlib.closing(PlayedShare(troubled, address, uids, pretty=OURS["pretty"])) as share:
            wait_until(lambda: troubled.knows(uids[-1]), "the dead share")
            for _ in range(CYCLES):
                share.report(uids[:1])
                for master, ours in zip((sound, troubled), times):
                    with master.client() as broker:
                        broker.get_profile()  # connects
                        ours.append(seconds(lambda: broker.get(OURS)) * 1e3)
    for percent, target in (50, 5), (99, None):
        usual, troubled = (sorted(ours)[CYCLES * percent // 100] for ours in times)
        figure, more = f"get beside {name}, p{percent} above that without it", troubled - usual
        report(figure, more, "ms", target and f"at most {target}", target and more <= target)


def updates():
    """The master's share of a core while one piece a second changes at each of many shares."""
    with lab() as master, played_shares(master, SHARES) as shares:
        before, began = master.cpu_s(), time.monotonic()
        for n, (second, share) in enumerate(itertools.product(range(CPU_SECONDS), shares)):
            time.sleep(max(0, began + n / SHARES - time.monotonic()))  # the span that is measured
            share.report(share.uids[:1], pretty=f"change {second}")
        used = (master.cpu_s() - before) / (time.monotonic() - began) * 100
        wait_until(lambda: master.knows(shares[-1].uids[0], pretty=f"change {CPU_SECONDS - 1}"), "the last change")
    figure = f"{SHARES} shares of {PIECES} pieces with a change a second each, share of a core"
    report(figure, used, "%", "at most 5", used <= 5)


def report(figure, value, unit, target=None, ok=None, ratio=None):
    line = {"figure": f"network: {figure}", "value": round(value, 2), "unit": unit, "ratio": ratio}
    print(json.dumps({**line, "target": target, "ok": ok}), flush=True)
    return ok


def main():
    hop()
    met = crowd()
    changes()
    dead_share("a mute share", mute)
    dead_share("a share in a black hole", black_hole)
    updates()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
