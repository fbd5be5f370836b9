"""A broker that is replaced under its clients: the wheel, and clients written before this broker. The numbers are those
of docs/protocol.md, 10.12."""

import json
import os
import pathlib
import signal
import subprocess
import threading

import pytest

from ave.broker import Broker
from ave.broker.exceptions import Busy
from ave.exceptions import AveException, Exit, Restarting
from ave.network.exceptions import ConnectionClosed
from conftest import KEYS, LIMIT_S, wait_for
from old_client import Connection, OldBroker, Refused

HANDSET, RELAY, WORKSPACE = {"type": "handset"}, {"type": "relay"}, {"type": "workspace"}
YUGA = {**HANDSET, "serial": "CB5A1JYXRQ"}
SESSION_PORTS = [20420, 20439]  # not among those the system gives to outgoing connections


@pytest.fixture(params=[None, SESSION_PORTS], ids=["one port", "session ports"])
def lab(request, start_lab):
    return start_lab(session_ports=request.param) if request.param else start_lab()


@pytest.fixture
def old(lab):
    old = OldBroker(lab.address)
    yield old
    old.close()
    if old.session:
        old.session.close()


def once(proxy, *args):
    """The answer of one call through a new connection of an old client's proxy."""
    try:
        return proxy.call(*args)
    finally:
        if proxy.connection:
            proxy.connection.close()
            proxy.connection = None


def closed(call):
    """Whether this raises `ConnectionClosed`."""
    try:
        call()
    except ConnectionClosed:
        return True
    return False


def available(lab):
    with lab.admin() as admin:
        return [profile.get("serial") or profile.get("uid") for profile in admin.list_available()]


def test_a_script_keeps_what_it_holds_and_a_new_broker_gets_more(lab):  # 192, 193, 194
    with Broker() as broker:
        used, unused = broker.get(YUGA, WORKSPACE)
        assert used.get_profile()["serial"] == YUGA["serial"]
        lab.restart()
        assert used.get_profile()["serial"] == YUGA["serial"]
        assert unused.run(["sh", "-c", "echo hello"]) == [0, "hello\r\n", ""]
        with pytest.raises(Restarting, match="broker is restarting"):
            broker.get(RELAY)
        assert {profile["type"] for profile in broker.list_allocations()} == {"handset", "workspace"}
        with Broker() as another:
            assert another.get({**RELAY, "uid": "b"}).profile["uid"] == "b"
            with pytest.raises(Busy):
                another.get(YUGA)
        assert used.get_profile()["serial"] == YUGA["serial"]
    wait_for(lambda: YUGA["serial"] in available(lab))


def test_restarting_is_an_exception_that_scripts_of_the_manual_know():
    assert issubclass(Restarting, AveException)


def test_an_old_client_keeps_what_it_holds(lab, old):  # 192, 193
    handset, workspace = old.get(YUGA, WORKSPACE)
    assert once(handset, "get_profile")["serial"] == YUGA["serial"]
    path = workspace.call("get_path")
    for _ in range(2):
        lab.restart()
        assert workspace.call("get_path") == path
        assert once(handset, "get_profile")["serial"] == YUGA["serial"]
        with pytest.raises(Refused) as refused:
            old.get(RELAY)
        assert (refused.value.type, str(refused.value)) == ("Restarting", "broker is restarting")
    workspace.connection.close()
    assert YUGA["serial"] not in available(lab)


def test_a_proxy_that_lost_its_connection_makes_another_one(lab, old):
    (workspace,) = old.get(WORKSPACE)
    path = once(workspace, "get_path")
    lab.restart()
    for _ in range(3):
        assert once(workspace, "get_path") == path
    stranger = Connection(workspace.address, "0123456789012345")
    assert not stranger.authenticated
    stranger.close()


def test_what_is_given_back_on_the_old_connection_is_free_in_the_new_broker(lab, old):
    handset, workspace = old.get(YUGA, WORKSPACE)
    lab.restart()
    old.yield_resources(handset)
    wait_for(lambda: YUGA["serial"] in available(lab))
    assert pathlib.Path(once(workspace, "get_path")).is_dir()
    with Broker() as broker:
        handset, workspace = broker.get(YUGA, WORKSPACE)
        lab.restart()
        broker.yield_resources(handset)
        wait_for(lambda: YUGA["serial"] in available(lab))
        assert workspace.path_exists(".")


def test_a_call_in_the_middle_is_answered_by_the_old_process(lab):  # 197
    with Broker() as broker:
        workspace = broker.get(WORKSPACE)
        path, answers = pathlib.Path(workspace.get_path()), []
        tool = ["sh", "-c", "touch begun; while [ ! -e go ]; do sleep 0.01; done; echo done"]
        caller = threading.Thread(target=lambda: answers.append(workspace.run(tool)))
        caller.start()
        wait_for((path / "begun").exists)
        lab.restart()
        (path / "go").touch()
        caller.join(LIMIT_S)
        assert answers == [[0, "done\r\n", ""]]
    wait_for(lambda: not path.exists())


def test_administrators_of_the_old_broker_are_told_to_reconnect(lab):  # 199
    before, keyed = lab.admin(), Connection(lab.address, KEYS["admin"])
    assert before.list_shares() == []
    lab.restart()
    assert json.loads(keyed.receive())["exception"] == {"message": "broker restarted. please reconnect", "type": "Exit"}
    keyed.close()
    with pytest.raises(Exit, match="broker restarted. please reconnect"):
        wait_for(lambda: before.list_shares() is None)
    with lab.admin() as after:
        assert after.list_shares() == []


def test_an_administrator_closes_an_old_session_through_the_new_broker(lab):
    with Broker() as broker:
        handset = broker.get(YUGA)
        handset.get_profile()
        lab.restart()
        with lab.admin() as admin:
            assert [profile["serial"] for profile in admin.list_allocations_all()] == [YUGA["serial"]]
            admin.close_session(handset.authkey)
        with pytest.raises(ConnectionClosed):
            handset.get_profile()
        with pytest.raises(AveException, match="^session closed"):
            broker.list_allocations()
        assert YUGA["serial"] in available(lab)


def test_a_script_whose_brokers_are_stopped_or_killed_knows_at_once(lab):
    with Broker() as broker:
        handset = broker.get(YUGA)
        handset.get_profile()
        lab.restart()
        with Broker() as another:
            workspace = another.get(WORKSPACE)
            workspace.get_path()
            os.kill(lab.serving(), signal.SIGKILL)
            for call in workspace.get_path, another.list_allocations, handset.get_profile, broker.list_allocations:
                wait_for(lambda: closed(call))
    command = [*lab.command("--start"), "--force"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S * 3)
    wait_for(lambda: not lab.workspaces())
    wait_for(lambda: YUGA["serial"] in available(lab))


def test_scripts_that_begin_during_restarts_are_served(lab):  # 194, 195
    is_over, seen = threading.Event(), []

    def script():
        while not is_over.is_set():
            with Broker() as broker:
                try:
                    seen.append(broker.get(WORKSPACE).path_exists("."))
                except Restarting:
                    seen.append("Restarting")

    scripts = [threading.Thread(target=script) for _ in range(3)]
    for each in scripts:
        each.start()
    for _ in range(5):
        lab.restart()
    is_over.set()
    for each in scripts:
        each.join(LIMIT_S)
    assert True in seen and set(seen) <= {True, "Restarting"}
