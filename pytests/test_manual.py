"""The manual's snippets, as they are written there. Each test is named after the sentence it shows."""

import contextlib
import json
import subprocess
import sys

import pytest
import vcsjob

from ave.broker import Broker
from ave.broker.exceptions import Busy, NoSuch
from ave.config import find_broker
from ave.exceptions import AveException, Restarting
from ave.network.exceptions import ConnectionClosed, ConnectionRefused
from conftest import AS_ROOT, BINARY, KEYS, LIMIT_S
from fake_peer import ACCEPTED, CHALLENGE, peer

HANDSET, RELAY, WORKSPACE = {"type": "handset"}, {"type": "relay"}, {"type": "workspace"}


def stack_of(admin, resource):
    """The configured stacks that a resource is in, as sets of identities."""
    identity = resource.profile.get("serial") or resource.profile["uid"]
    stacks = [{each.get("serial") or each["uid"] for each in stack} for stack in admin.list_stacks()]
    return [stack for stack in stacks if identity in stack]


def together(admin, first, second):
    return any(stack in stack_of(admin, second) for stack in stack_of(admin, first))


# Basic rules of correct usage

JOB = """
import sys
import vcsjob

from ave.broker            import Broker
from ave.broker.exceptions import Busy

broker = Broker()
try:
    handset = broker.get({'type':'handset', 'pretty':'yuga'})
except Busy:
    # tell the scheduler that the job should be retried sometime later:
    sys.exit(vcsjob.BUSY)
"""


def test_if_that_means_the_equipment_is_allocated_to_someone_else_exit_with_status_busy(broker):
    def status():
        return subprocess.run([sys.executable, "-c", JOB], timeout=LIMIT_S).returncode

    assert status() == vcsjob.OK
    broker.get({"type": "handset", "pretty": "yuga"})
    assert status() == vcsjob.BUSY


def test_a_workspace_is_allocated_on_the_same_host_as_the_equipment(lab):  # 108
    broker = Broker()
    h, w = broker.get(({'type':'handset'}, {'type':'workspace'}))
    assert (h.profile["type"], w.profile["type"]) == ("handset", "workspace")
    assert h.address == w.address


def test_client_allocates_a_handset_and_a_relay_configured_to_work_together_in_a_stack(lab, admin):  # 109
    broker = Broker()
    h, r, w = broker.get(({'type':'handset'}, {'type':'relay'},{'type':'workspace'}))
    assert together(admin, h, r)
    assert w.profile["type"] == "workspace"


def test_client_allocates_two_handsets_that_may_be_located_in_different_host_pcs(lab, admin):  # 116
    broker = Broker()
    h1, h2 = broker.get(({'type':'handset'},), ({'type':'handset'},))
    assert h1.profile["serial"] != h2.profile["serial"]
    assert not together(admin, h1, h2)


def test_client_allocates_two_handsets_configured_to_work_together_in_a_stack(lab, admin):  # 115
    broker = Broker()
    h1, h2 = broker.get({'type':'handset'}, {'type':'handset'})
    assert together(admin, h1, h2)
    del broker, h1, h2
    lab.wait_until_free()
    # or
    broker = Broker()
    h1, h2 = broker.get(({'type':'handset'}, {'type':'handset'}))
    assert together(admin, h1, h2)


def test_one_of_the_handsets_should_work_together_with_the_relay(lab, admin):  # 117
    broker = Broker()
    h1, r, h2 = broker.get(({'type':'handset'}, {'type':'relay'}), {'type':'handset'})
    assert together(admin, h1, r)
    assert h2.profile["type"] == "handset"
    assert not together(admin, h2, r)


def test_if_the_client_disconnects_the_broker_will_free_all_of_its_resources(lab, admin):  # 73
    broker = Broker()
    broker.get({'type':'handset'}, {'type':'relay'})
    assert len(admin.list_allocations_all()) == 2
    del broker
    lab.wait_until_free()


def test_simply_terminate_the_program(lab, admin):  # 73, 74
    script = "from ave.broker import Broker; Broker().get({'type':'handset'}, {'type':'workspace'})"
    holding = script.replace("Broker().", "broker = Broker(); w = broker.")
    subprocess.run([sys.executable, "-c", holding], check=True, timeout=LIMIT_S)
    lab.wait_until_free()


# Examples of incorrect usage


def test_allocating_separately_can_cause_them_to_end_up_on_different_hosts(lab):
    broker = Broker()
    handset = broker.get({'type':'handset'})
    workspace = broker.get({'type':'workspace'})
    assert [each["type"] for each in broker.list_allocations()] == ["handset", "workspace"]
    with pytest.raises(AveException, match="no driver for type"):
        handset.push(workspace.get_path() + '/some_file', '/system/data')


def test_the_broker_disconnects_your_client_if_an_allocation_fails(lab, broker):  # 88
    broker.get({'type':'handset', 'pretty':'togari'})
    failures = []
    broker = Broker()
    with pytest.raises(AveException, match="^session closed") as ended:
        while True:
            try:
                broker.get({'type':'handset', 'pretty':'yuga'})
                broker.get({'type':'handset', 'pretty':'togari'})
                break
            except Busy as busy:
                failures.append(busy)  # retry
    assert len(failures) == 1
    assert ended.value.type == "Exception"


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "handset", "pretty": "no such"},
        {"type": "toaster"},
        {"type": 1},
        {"type": "relay", "uid": "a", "circuits": 1},
        {"type": "workspace", "tools": ["no such"]},
    ],
    ids=str,
)
def test_that_is_for_any_reason(lab, bad):  # 88, 89
    broker = Broker()
    held = broker.get({"type": "handset", "pretty": "yuga"})
    with pytest.raises(AveException):
        broker.get(bad)
    with pytest.raises(AveException, match="^session closed"):
        broker.get(HANDSET)
    with pytest.raises(ConnectionRefused):
        held.get_profile()
    assert Broker().get({"type": "handset", "pretty": "yuga"})
    assert broker.get_profile()["type"] == "broker"  # 90


def test_the_client_must_keep_a_reference_to_its_broker_instance(lab):  # 75
    def allocate():
        broker = Broker()
        return broker.get({'type':'handset', 'pretty':'yuga'})
        # broker object is garbage collected here

    handset = allocate()
    with pytest.raises(ConnectionRefused, match="^connection refused$"):
        handset.ls('/')


# API for regular clients


def test_returns_the_same_number_of_resource_objects_as_there_were_profiles(lab):  # 100, 130
    for wanted in [(), (HANDSET,), (HANDSET, RELAY), (WORKSPACE, HANDSET, RELAY), ((HANDSET, RELAY), WORKSPACE)]:
        with Broker() as broker:
            got = broker.get(*wanted)
            got = got if isinstance(got, tuple) else (got,)
            flat = [each for one in wanted for each in (one if isinstance(one, tuple) else (one,))]
            assert [each.profile["type"] for each in got] == [each["type"] for each in flat]
            assert isinstance(broker.get(), tuple)


def test_raises_busy_if_all_matching_equipment_is_currently_allocated_to_some_other_client(lab, broker):  # 84
    broker.get({"type": "handset", "pretty": "yuga"})
    with pytest.raises(Busy, match="^all such equipment busy"):
        Broker().get({"type": "handset", "pretty": "yuga"})


def test_raises_no_such_if_no_match_is_possible_at_all(lab):  # 85, 113
    with pytest.raises(NoSuch, match="^no such resource"):
        Broker().get({"type": "handset", "pretty": "toaster"})
    with pytest.raises(NoSuch, match="^cannot allocate all equipment together"):
        Broker().get({"type": "handset", "pretty": "yuga"}, {"type": "relay", "uid": "b"})


def test_raises_restarting_if_the_broker_has_restarted_and_keeps_what_is_held():
    def answer(result):
        return json.dumps({"result": result}).encode()

    granted = {"type": "handset", "serial": "1"}
    restarting = b'{"exception": {"type": "Restarting", "message": "broker is restarting", "trace": []}}'
    with contextlib.ExitStack() as peers:
        handset = peers.enter_context(peer(CHALLENGE, ACCEPTED, answer(granted)))
        entry = {"address": handset.address, "authkey": "1", "profile": granted}
        session = peers.enter_context(peer(CHALLENGE, ACCEPTED, answer([entry])))
        allotment = {"address": session.address, "authkey": "1", "resources": [granted]}
        old = peers.enter_context(peer(CHALLENGE, ACCEPTED, answer(allotment), restarting))
        broker = Broker(old.address)
        held = broker.get(HANDSET)
        with pytest.raises(Restarting, match="^broker is restarting$"):
            broker.get(HANDSET)
        assert held.get_profile() == granted


def test_raises_ave_exception_if_the_parameters_could_not_be_validated(lab):  # 86, 87
    with pytest.raises(AveException, match='^profile "type" field is missing'):
        Broker().get(({"pretty": "yuga"},))
    with pytest.raises(AveException, match="unknown profile type"):
        Broker().get({"type": "toaster"})


def test_any_android_handset_on_the_gte_network_together_with_a_workspace(lab):  # 95
    b = Broker()
    h,w = b.get(
        {'type':'handset', 'platform':'android', 'gsm.operator':'GTE'},
        {'type':'workspace'}
    )
    assert (h.profile["platform"], h.profile["gsm.operator"]) == ("android", "GTE")
    assert w.profile["type"] == "workspace"


def test_a_hayabusa_handset_together_with_a_programmable_relay_plus_a_workspace(lab, admin):  # 94, 96
    b = Broker()
    h,r,w = b.get(
        {
            'type':'handset',
            'platform':'firefox',
            'sw.label':'ICS-BLUE-FF-130516-1131'
        },
        {'type':'relay', 'circuits':['usb.pc.vcc', 'handset.battery']},
        {'type':'workspace'}
    )
    assert h.profile["pretty"] == "hayabusa"
    assert sorted(r.profile["circuits"]) == ["handset.battery", "usb.pc.vcc"]
    assert together(admin, h, r)
    assert w.profile["type"] == "workspace"


# API for administrative clients


def test_class_broker_authkey_must_match_the_value_of_the_admin_field(lab):
    assert Broker(KEYS["admin"]).list_shares() == []
    assert Broker(KEYS["admin"].encode()).list_shares() == []
    for wrong in [None, "wrong", KEYS["share"]]:
        with pytest.raises(AveException, match="not authorized to make this call"):
            Broker(authkey=wrong).list_shares()


@pytest.mark.parametrize("get", ["get", "get_resource", "get_resources"])
@pytest.mark.parametrize("wanted", [(HANDSET,), ((HANDSET,),)], ids=["profile", "tuple"])
def test_the_client_is_not_allowed_to_allocate_while_logged_in_as_administrator(admin, get, wanted):  # 53
    with pytest.raises(ConnectionClosed, match="^connection closed$"):
        getattr(admin, get)(*wanted)


def test_list_allocations_all_returns_the_combined_allocations_of_all_clients(lab, admin):
    brokers = Broker(), Broker()
    held = [broker.get(HANDSET).profile for broker in brokers]
    listed = admin.list_allocations_all()
    assert len(listed) == 2
    assert all(profile in listed for profile in held)


def test_list_collateral_all_returns_the_collateral_of_all_clients(lab, broker, admin):
    broker.get({"type": "handset", "pretty": "yuga"})
    assert admin.list_collateral_all() == [{"type": "relay", "uid": "a"}]
    assert broker.list_collateral() == [{"type": "relay", "uid": "a"}]


def test_different_clients_cannot_accidentally_get_resources_that_will_interfere(lab, broker):
    broker.get({"type": "handset", "pretty": "yuga"})
    with pytest.raises(Busy):
        Broker().get({"type": "relay", "uid": "a"})


def test_sharing_has_no_effect_without_a_sharing_rule(admin):
    assert admin.start_sharing() is None
    assert admin.stop_sharing() is None
    assert admin.restart_sharing() is None
    assert admin.list_shares() == []


def test_drop_share_has_no_effect_if_no_such_broker_is_connected(admin):
    assert admin.drop_share(("elsewhere", 4000)) is None
    assert admin.drop_all_shares() is None


def test_list_equipment_does_not_have_to_be_available_for_allocation(lab, broker, admin):  # 106, 107
    yuga = {"type": "handset", "pretty": "yuga"}
    assert admin.list_equipment(yuga) == admin.list_available(yuga) == admin.list_equipment(profile=yuga)
    before = admin.list_equipment()
    broker.get(yuga)
    assert len(admin.list_equipment(yuga)) == 1
    assert admin.list_available(yuga) == []
    assert admin.list_equipment() == before
    assert len(admin.list_available()) == len(before) - 2  # the relay is collateral


def test_list_stacks_returns_a_list_of_the_configured_equipment_stacks(lab, admin):
    assert admin.list_stacks() == lab.read("broker")["stacks"]


# Starting and stopping the broker; configuration files


def test_stopping_the_broker_terminates_all_open_sessions_and_disconnects_all_clients(lab, broker):  # 80, 212
    used, unused = broker.get(({'type':'handset'},), ({'type':'workspace'},))
    used.get_profile()
    stopped = subprocess.run(
        [BINARY, "--stop", "--home", str(lab.home), *AS_ROOT], capture_output=True, text=True, timeout=LIMIT_S
    )
    assert stopped.returncode == 0, stopped.stderr
    lab.process.wait(LIMIT_S)
    with pytest.raises(ConnectionClosed):
        broker.list_allocations()
    with pytest.raises(ConnectionClosed):
        used.get_profile()
    with pytest.raises(ConnectionRefused):
        unused.get_path()


def config_of(tmp_path, text):
    path = tmp_path / ".ave" / "config" / "broker.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return find_broker(tmp_path)


def test_the_smallest_valid_configuration_is_just_the_empty_dictionary(tmp_path):  # 202
    assert config_of(tmp_path, "{}") == ("127.0.0.1", 4000)


@pytest.mark.parametrize("policy", ["forward", "share"])
def test_a_broker_configuration_can_contain_both_remote_and_stacks_rules(start_lab, policy):  # 204
    remote = {"host": "hostname", "port": 4000, "policy": policy, "authkey": "sharing key of the other broker"}
    lab = start_lab(remote=remote)
    profile = Broker().get_profile()
    assert profile["remote"] == {key: remote[key] for key in ("host", "port", "policy")}  # 55, 58
    assert profile["stacks"] == lab.read("broker")["stacks"]


def test_if_the_same_field_occurs_more_than_once_the_last_entry_counts(tmp_path):  # 208
    assert config_of(tmp_path, '{"port": 1, "host": "a", "port": 2}') == ("a", 2)


def test_these_keys_can_be_changed_to_more_memorable_values(lab):
    assert json.loads((lab.config / "authkeys.json").read_text()) == KEYS
    with Broker(authkey="please stick to printable characters, ok?") as share:
        share.set_stacks("local", [])
    with Broker(authkey="Some random stuff... 1234!") as admin:
        assert admin.list_stacks() == []
