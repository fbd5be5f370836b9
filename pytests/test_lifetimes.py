"""Who keeps what alive, and what is raised afterwards."""

import copy
import gc
import logging
import pickle
import sys
import weakref

import pytest

from ave.broker import Broker
from ave.broker.exceptions import NoSuch, NotOwner
from ave.exceptions import AveException
from ave.network.exceptions import ConnectionClosed, ConnectionRefused
from conftest import wait_for

HANDSET, WORKSPACE = {"type": "handset"}, {"type": "workspace"}
PAIR = ((HANDSET,), (WORKSPACE,))


@pytest.fixture
def no_collector():
    """Objects die only by reference counting, as they must without reference cycles."""
    gc.disable()
    yield
    gc.enable()


def by_del(holder):
    holder.clear()


def by_close(holder):
    holder[0].close()


def by_with(holder):
    with holder[0]:
        pass


def by_failed_get(holder):
    with pytest.raises(NoSuch):
        holder[0].get({"type": "handset", "pretty": "no such"})


@pytest.mark.parametrize("end", [by_del, by_close, by_with, by_failed_get])
def test_unused_proxies_are_refused_and_used_ones_closed_after_the_end_of(lab, no_collector, end):  # 72
    holder = [Broker()]
    unused, used = holder[0].get(*PAIR)
    used.get_path()
    end(holder)
    with pytest.raises(ConnectionRefused):
        unused.get_profile()
    with pytest.raises(ConnectionClosed):
        used.get_path()
    lab.wait_until_free()


def test_neither_objects_nor_exceptions_keep_a_broker(lab, no_collector):
    broker = Broker()
    handset, workspace = broker.get(*PAIR)
    workspace.get_path()
    with pytest.raises(AveException):
        workspace.no_such_call()
    with pytest.raises(TypeError):
        broker.get_profile(object())
    dead = [weakref.ref(each) for each in (broker, handset, workspace)]
    del broker
    assert dead[0]() is None
    lab.wait_until_free()
    del handset, workspace
    assert [ref() for ref in dead] == [None, None, None]


def test_losing_one_proxy_leaves_the_others_working(broker):  # 69
    handset, workspace = broker.get(*PAIR)
    handset.get_profile()
    del handset
    assert workspace.get_path()
    assert len(broker.list_allocations()) == 2


def test_a_closed_broker_stays_closed(lab):
    broker = Broker()
    broker.get(HANDSET)
    broker.close()
    broker.close()
    for call in [broker.get_profile, broker.list_allocations, lambda: broker.get(HANDSET)]:
        with pytest.raises(ConnectionClosed, match="^connection closed$"):
            call()


def test_a_session_closed_by_the_administrator_is_gone(broker, admin):
    unused, used = broker.get(*PAIR)
    used.get_path()
    admin.close_session(used.authkey)
    with pytest.raises(ConnectionRefused):
        unused.get_profile()
    with pytest.raises(ConnectionClosed):
        used.get_path()
    with pytest.raises(AveException, match="^session closed"):
        broker.list_allocations()
    assert broker.get_profile()["type"] == "broker"


def test_a_broker_that_dies_takes_everything_along(lab, broker):
    unused, used = broker.get(*PAIR)
    used.get_path()
    lab.process.kill()
    lab.process.wait()
    with pytest.raises(ConnectionClosed):
        broker.list_allocations()
    with pytest.raises(ConnectionRefused):
        unused.get_profile()
    with pytest.raises(ConnectionClosed):
        used.get_path()
    for workspace in (lab.home / ".ave" / "workspaces").iterdir():
        workspace.rmdir()  # nobody was left to delete it


def test_allocate_use_and_yield_in_a_loop(broker, admin):  # 70, 101, 152
    for _ in range(5):
        handset, workspace = broker.get(HANDSET, WORKSPACE)
        assert handset.get_profile()["serial"] == handset.profile["serial"]
        assert len(broker.list_allocations()) == 2
        assert broker.yield_resources(handset, workspace.profile) is None
        assert broker.list_allocations() == []
        with pytest.raises(AveException, match=f"^no such resource.*{handset.profile['serial']}"):  # 68
            handset.get_profile()
        with pytest.raises(NoSuch, match="^no such resource"):
            broker.yield_resources(handset)


def test_yielding_what_is_not_mine_is_refused_and_harms_nothing(lab, broker):  # 153, 154
    with Broker() as other:
        with pytest.raises(AveException, match="^no resources to yield$"):
            other.yield_resources(HANDSET)
        mine, theirs = broker.get(HANDSET), other.get(HANDSET)
        with pytest.raises(NotOwner) as refused:
            broker.yield_resources(theirs)
        assert refused.value.type == "NotOwner"
        assert broker.list_allocations() == [mine.profile]
        assert other.list_allocations() == [theirs.profile]


def test_yielding_what_is_no_resource_is_refused_and_harms_nothing(broker):
    handset = broker.get(HANDSET)
    for wrong in (1, None, "relay", [handset]):
        with pytest.raises(TypeError, match="^only resources and profiles can be yielded, found "):
            broker.yield_resources(wrong)
    assert broker.list_allocations() == [handset.profile]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_connections_cannot_be_copied(broker, duplicate):
    for each in (broker, broker.get(HANDSET)):
        with pytest.raises(TypeError, match="cannot copy or pickle"):
            duplicate(each)


def test_twenty_rounds_of_connect_allocate_disconnect_succeed(lab, admin):  # 77
    stacks = admin.list_stacks()
    for _ in range(20):
        with Broker() as broker:
            broker.get(HANDSET, {"type": "relay"}, WORKSPACE)
        lab.wait_until_free()
    assert admin.list_stacks() == stacks  # 131


def test_a_script_is_warned_before_it_holds_something_for_too_long_and_hears_why_it_was_closed(start_lab, caplog):  # 224
    start_lab(hold_limit_s={"workspace": 15})
    with Broker() as broker:
        workspace = broker.get({"type": "workspace"})
        uid = workspace.get_profile()["uid"]
        wait_for(lambda: workspace.get_profile() and caplog.records)
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("ave", "WARNING")
        assert record.getMessage().startswith(f"workspace {uid} is held for long (hold_limit_s = 15): the session ends in ")
        assert record.ave["type"] == "workspace" and record.ave["identity"] == uid
        assert 0 <= record.ave["remaining_s"] <= 3
        with pytest.raises(ConnectionClosed):
            wait_for(lambda: not workspace.get_profile())
        why = f"^session closed: workspace {uid} was held for longer than hold_limit_s = 15$"
        with pytest.raises(AveException, match=why):
            broker.get({"type": "workspace"})


def test_a_handler_of_the_log_that_raises_harms_no_call(start_lab, monkeypatch):
    class Bad(logging.Handler):
        def emit(self, record):
            raise RuntimeError("no disk")

    raised = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    start_lab(hold_limit_s={"workspace": 10})
    bad = Bad()
    logging.getLogger("ave").addHandler(bad)
    try:
        with Broker() as broker:
            workspace = broker.get({"type": "workspace"})
            wait_for(lambda: workspace.get_profile() and raised)
    finally:
        logging.getLogger("ave").removeHandler(bad)
    assert isinstance(raised[0].exc_value, RuntimeError)
