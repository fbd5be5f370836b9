"""Clients written before this broker: by default, and with a port for each session as labs with such clients set it."""

import re

import pytest

from conftest import KEYS, wait_for
from old_client import Connection, OldBroker, Refused

HANDSET, RELAY, WORKSPACE = {"type": "handset"}, {"type": "relay"}, {"type": "workspace"}
SESSION_PORTS = [20400, 20419]  # not among those the system gives to outgoing connections


@pytest.fixture
def connect():
    """Makes connections that are closed at the end."""
    made = []

    def connect(kind, *args):
        made.append(kind(*args))
        return made[-1]

    yield connect
    for each in made:
        each.close()
        if getattr(each, "session", None):
            each.session.close()


@pytest.fixture(params=[None, SESSION_PORTS], ids=["one port", "session ports"])
def session_ports(request):
    return request.param


@pytest.fixture
def lab(start_lab, session_ports):
    return start_lab(session_ports=session_ports) if session_ports else start_lab()


@pytest.fixture
def old(lab, connect):
    return connect(OldBroker, lab.address)


def called(proxy, *args):
    """The answer of one call through a new connection of the proxy."""
    try:
        return proxy.call(*args)
    finally:
        if proxy.connection:
            proxy.connection.close()


def test_get_returns_what_was_asked_for_in_that_order(old):  # 59, 60, 65, 100
    handset, workspace = old.get(HANDSET, WORKSPACE)
    assert (handset.profile["type"], workspace.profile["type"]) == ("handset", "workspace")
    assert re.fullmatch("[0-9]{16}", handset.key)
    assert handset.address[0] == "127.0.0.1"
    (again,) = old.get(RELAY)
    assert (again.key, again.address) == (handset.key, handset.address)
    assert called(handset, "get_profile")["serial"] == handset.profile["serial"]


def test_two_clients_have_different_keys_and_with_session_ports_different_ports(lab, old, connect, session_ports):  # 61
    (first,), (second,) = old.get(HANDSET), connect(OldBroker, lab.address).get(HANDSET)
    assert first.key != second.key
    ports = {first.address[1], second.address[1]}
    if session_ports:
        assert len(ports) == 2
        assert all(SESSION_PORTS[0] <= port <= SESSION_PORTS[1] for port in ports)
    else:
        assert ports == {lab.address[1]}


def test_groups_are_answered_in_order(old):  # 117
    first, relay, second = old.get((HANDSET, RELAY), HANDSET)
    assert [each.profile["type"] for each in (first, relay, second)] == ["handset", "relay", "handset"]


def test_a_misclassified_call_does_not_fail_for_reasons_of_shape(old):  # 126
    first, second, relay = old.get(HANDSET, HANDSET, (RELAY,))
    assert [each.profile["type"] for each in (first, second, relay)] == ["handset", "handset", "relay"]


def test_a_wrong_key_at_a_session_still_serves_get_version(old, connect):  # 62, 63
    (handset,) = old.get(HANDSET)
    right = connect(Connection, handset.address, handset.key)
    assert right.authenticated
    assert right.call("get_version") == 1
    for key in ("wrong", ""):
        wrong = connect(Connection, handset.address, key)
        assert not wrong.authenticated
        assert wrong.call("get_version") == 1


def test_a_refusal_is_an_object_with_its_type(lab, old, connect):  # 84, 88
    old.get({"type": "handset", "pretty": "yuga"})
    other = connect(OldBroker, lab.address)
    with pytest.raises(Refused, match="^all such equipment busy") as busy:
        other.get({"type": "handset", "pretty": "yuga"})
    assert busy.value.type == "Busy"
    with pytest.raises(Refused, match="^session closed") as closed:
        other.get(HANDSET)
    assert closed.value.type == "Exception"


def test_after_the_end_used_proxies_see_the_end_and_unused_ones_are_refused(old, session_ports):  # 72
    used, unused = old.get((HANDSET,), (WORKSPACE,))
    used.call("get_profile")
    with pytest.raises(Refused):
        old.get({"type": "handset", "pretty": "no such"})
    with pytest.raises((EOFError, ConnectionResetError)):
        called(used, "get_profile")
    with pytest.raises(ConnectionRefusedError if session_ports else EOFError):
        called(unused, "get_path")


def test_what_is_yielded_is_free_and_answers_no_such_resource(old):  # 68
    (handset,) = old.get({"type": "handset", "pretty": "yuga"})
    handset.call("get_profile")
    old.yield_resources(handset)
    assert old.call("list_allocations") == []
    with pytest.raises(Refused, match=f"^no such resource.*{handset.profile['serial']}") as gone:
        called(handset, "get_profile")
    assert gone.value.type is None
    assert len(old.get({"type": "handset", "pretty": "yuga"})) == 1


def test_requests_rejected_before_the_method_are_plain_strings(old):
    for method, message in [("nonsense", "no such RPC: nonsense"), ("list_stacks", "not authorized to make this call")]:
        with pytest.raises(Refused, match=f"^{message}$") as refused:
            old.call(method)
        assert refused.value.type is None


def test_c6_failures_of_tools_have_their_types_and_members(old):
    (workspace,) = old.get(WORKSPACE)
    path = workspace.call("write_tempfile", "echo begun; sleep 60")
    with pytest.raises(Refused, match="^command timed out$") as late:
        workspace.call("run", ["sh", path], timeout=3)
    assert (late.value.type, late.value.members["out"]) == ("Timeout", "begun\r\n")
    with pytest.raises(Refused, match="^failed to clone from /no/such/tree") as failed:
        called(workspace, "download_git", "/no/such/tree", "main")
    assert failed.value.type == "RunError"
    assert {"cmd", "out"} <= failed.value.members.keys()


def test_administrators_and_sharers_use_their_keys(lab, connect):
    admin = connect(OldBroker, lab.address, KEYS["admin"])
    assert admin.authenticated
    assert admin.call("list_stacks") == lab.read("broker")["stacks"]
    share = connect(OldBroker, lab.address, KEYS["share"])
    assert share.call("add_equipment", "local", [{"type": "relay", "uid": "new"}]) is None
    assert {"type": "relay", "uid": "new"} in admin.call("list_relays")
    assert not connect(Connection, lab.address, "wrong").authenticated


def test_a_client_that_leaves_loses_everything(lab, old):  # 73
    old.get(HANDSET, WORKSPACE)
    with lab.admin() as admin:
        wait_for(admin.list_allocations_all)
        old.session.close()
        assert len(admin.list_allocations_all()) == 2  # the session's connection alone means nothing
    old.close()
    lab.wait_until_free()
