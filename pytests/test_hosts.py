"""Brokers on four hosts, whose cables are slow, lose packets, or are cut, also one way.

``near`` forwards to ``middle``, ``middle`` to ``far``; ``branch`` shares what it has with ``middle``.
"""

import concurrent.futures
import contextlib
import threading
import time
import types

import pytest

from ave.broker import Broker
from ave.exceptions import AveException
from ave.network.exceptions import ConnectionClosed, ConnectionTimeout
from conftest import KEYS, Lab, wait_for
from hosts import Host, Network

ADDRESSES = {name: f"192.0.2.{n}" for n, name in enumerate(("near", "middle", "far", "branch"), 1)}
PORT = 4000
REMOTE = {
    "near": {"policy": "forward", "host": ADDRESSES["middle"], "port": PORT},
    "middle": {"policy": "forward", "host": ADDRESSES["far"], "port": PORT},
    "branch": {"policy": "share", "host": ADDRESSES["middle"], "port": PORT, "authkey": KEYS["share"]},
}
ANY = {"type": "wlan"}
SPARE = {**ANY, "pretty": "spare"}  # the second piece of branch, which is asked first, and of far
SILENCE_S = 2
NOTICED_S = 25  # keepalive alone would take 30 s
REPAIRED_S = 60
VANISHED_S = 2  # what `keepalive` of 1 means
MOMENT_S = 5  # until the test itself has seen what has happened, on a slow machine
HURRY_S = 2  # a question to a broker that does not answer takes longer
ROUNDS = 4
BROKEN = {"cut": (True, True), "mute": (True, False), "deaf": (False, True)}


class Site(Host):
    """A host with a broker that has two pieces."""

    def __init__(self, name, home, silence_s, **configuration):
        super().__init__(ADDRESSES[name])
        self.name, self.pieces = name, [f"{name}-1", f"{name}-2"]
        first, second = ({**ANY, "uid": uid} for uid in self.pieces)
        equipment = [first, {**second, **SPARE} if name in ("branch", "far") else second]
        broker = {"host": self.address, "listen": self.address, "port": PORT, "remote": REMOTE.get(name)}
        broker.update(configuration)
        with self.inside():
            self.lab = Lab(home, {"equipment": equipment}, silence_limit_s=silence_s, stacks=[], **broker)
            self.admin = self.lab.admin()
            self.admin.get_profile()  # connects

    @contextlib.contextmanager
    def client(self, timeout=NOTICED_S):
        """A client on this host; so is the test meanwhile."""
        with self.inside(), Broker((self.address, PORT), timeout=timeout) as broker:
            yield broker

    def available(self):
        return sorted(profile["uid"] for profile in self.admin.list_available(ANY))

    def taken(self):
        return sorted(profile["uid"] for profile in self.admin.list_allocations_all())

    def stop(self):
        self.admin.close()
        self.lab.stop()
        self.close()


@contextlib.contextmanager
def four_hosts(folder, silence_s=SILENCE_S, **configuration):
    """The network, and the sites by their names. At the end every cable is mended, and nothing may be left."""
    with contextlib.ExitStack() as stack:
        sites = {}
        for name in ADDRESSES:
            try:
                sites[name] = Site(name, folder / name, silence_s, **configuration)
            except PermissionError as error:
                pytest.skip(f"NOT TESTED: hosts of their own, which only root may make ({error})")
            stack.callback(sites[name].stop)
        network = Network(sites.values(), seed=4)
        stack.callback(network.close)
        wait_until_quiet(sites)
        yield network, types.SimpleNamespace(**sites)
        network.delay_s, network.loss = 0.0, 0.0
        for site in sites.values():
            site.mend()
        wait_until_quiet(sites)


def wait_until_quiet(sites):
    """Waits until nobody has anything and all lists agree about it."""
    for name, site in sites.items():
        lent = sorted(site.pieces + (sites["branch"].pieces if name == "middle" else []))
        wait_for(lambda: site.available() == lent and not site.taken(), REPAIRED_S)


def piece(uid):
    return {**ANY, "uid": uid}


def has_lost_its_session(broker):
    try:
        broker.list_allocations()
    except AveException as error:
        assert str(error).startswith("session closed"), error
        return True
    return False


@pytest.mark.parametrize("way", BROKEN)
def test_what_a_vanished_client_held_is_free_within_keepalive_and_another_keeps_its_own(tmp_path, way):
    with four_hosts(tmp_path, keepalive=1) as (_, sites):
        with sites.middle.inside(), Broker((sites.far.address, PORT)) as living:
            kept = living.get(piece("far-2"))
            kept.get_profile()  # connects
            with vanishing(sites) as (vanished, _):
                vanished.get(piece("far-1"))
                began = time.monotonic()
                sites.near.cut(*BROKEN[way])
                wait_for(lambda: sites.far.available() == ["far-1"], VANISHED_S + MOMENT_S)
                assert kept.get_profile()["uid"] == "far-2"
                # Nothing is heard of the living one for longer than that, and it is still there.
                wait_for(lambda: time.monotonic() - began > 3 * VANISHED_S)
                assert sites.far.taken() == ["far-2"]
                sites.near.mend()


def test_a_reply_that_nobody_acknowledges_does_not_put_keepalive_off(tmp_path):
    with four_hosts(tmp_path, keepalive=1) as (_, sites), vanishing(sites) as (vanished, elsewhere):
        workspace = vanished.get({"type": "workspace"})
        answered = elsewhere.submit(workspace.run, ["sh", "-c", "touch begun; sleep 0.5"])
        root = sites.far.lab.home / ".ave" / "workspaces"
        wait_for(lambda: list(root.glob("*/begun")))
        sites.near.cut()
        wait_for(lambda: not sites.far.lab.workspaces(), 0.5 + VANISHED_S + MOMENT_S)
        assert not answered.done()
        sites.near.mend()
        with pytest.raises(ConnectionClosed):
            answered.result(NOTICED_S)


@contextlib.contextmanager
def vanishing(sites):
    """A client on `near` of the broker on `far`, and a thread for a call that it waits for."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread, sites.near.inside():
        broker = Broker((sites.far.address, PORT))
        try:
            yield broker, thread
        finally:
            broker.close()


def test_a_cable_is_slow_or_broken_as_it_is_told(tmp_path):
    with four_hosts(tmp_path) as (network, sites), sites.far.inside():
        with Broker((sites.near.address, PORT), timeout=HURRY_S) as broker:
            network.delay_s = 0.1
            began = time.monotonic()
            broker.get_profile()
            assert time.monotonic() - began >= 0.2
            sites.near.cut(mute=True, deaf=False)
            with pytest.raises(ConnectionTimeout):
                broker.get_profile()
            sites.near.admin.get_profile()  # its own host is not concerned


def test_equipment_of_all_hosts_is_lent_at_one_of_them(tmp_path):
    with four_hosts(tmp_path) as (_, sites):
        with sites.near.client() as broker:
            wanted = ["far-1", "branch-1", "middle-1", "near-1"]
            granted = broker.get(*((piece(uid),) for uid in wanted))
            # One group each: a proxy answers from the host of its piece.
            assert [proxy.get_profile()["uid"] for proxy in granted] == wanted
            for site in vars(sites).values():
                assert f"{site.name}-1" in site.taken() and f"{site.name}-1" not in site.available()
            with sites.far.client() as neighbour, pytest.raises(AveException, match="busy"):
                neighbour.get(piece("far-1"))


@pytest.mark.parametrize("way", BROKEN)
@pytest.mark.parametrize("where", ["near", "far", "branch"])
def test_what_was_held_over_a_broken_cable_is_lent_again(tmp_path, where, way):
    with four_hosts(tmp_path) as (_, sites):
        owner = sites.branch if where == "branch" else sites.far
        held = owner.pieces[0]
        with sites.near.client() as broker:
            broker.get(piece(held))
            assert held not in owner.available()
            vars(sites)[where].cut(*BROKEN[way])
            wait_for(lambda: has_lost_its_session(broker), NOTICED_S)
            wait_for(lambda: held in owner.available(), NOTICED_S)
            with owner.client() as neighbour:
                neighbour.get(piece(held))
                assert owner.taken() == [held]
        if where == "branch":
            wait_for(lambda: sites.middle.available() == sites.middle.pieces, NOTICED_S)


def test_a_site_that_is_cut_off_delays_nobody_whom_another_can_serve(tmp_path):
    with four_hosts(tmp_path, silence_s=REPAIRED_S) as (_, sites):
        sites.branch.cut()
        with sites.near.client(HURRY_S) as broker:
            assert broker.get(SPARE).get_profile()["uid"] == "far-2"
        # It was a candidate all the time.
        assert sites.middle.available() == sorted(sites.branch.pieces + sites.middle.pieces)


def test_nothing_is_lent_twice_over_slow_cables_that_lose_packets(tmp_path):
    with four_hosts(tmp_path, silence_s=NOTICED_S) as (network, sites):
        network.delay_s, network.loss = 0.05, 0.05
        holders, lock = {}, threading.Lock()

        def borrow(site):
            """Gets a piece, is alone with it, gives it back: so often."""
            rounds = refused = 0
            while rounds < ROUNDS:
                with site.client(REPAIRED_S) as broker:
                    try:
                        uid = broker.get(SPARE).get_profile()["uid"]
                    except AveException:
                        refused += 1
                        continue
                    owner = vars(sites)[uid.partition("-")[0]]
                    with lock:
                        assert holders.setdefault(uid, site) is site and owner.taken() == [uid]
                    rounds += 1
                    with lock:
                        del holders[uid]
            return refused

        clients = [sites.near, sites.near, sites.middle, sites.far]
        with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
            refused = sum(pool.map(borrow, clients))
        assert not holders and refused
