"""Scripts whose equipment other labs have: the manual's words on `remote`, seen from the wheel."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from ave.broker import Broker
from ave.broker.exceptions import Busy, NoSuch
from ave.exceptions import AveException, Exit
from ave.network.exceptions import ConnectionClosed, ConnectionRefused
from conftest import AS_ROOT, BINARY, KEYS, LIMIT_S, ROOT, wait_for
from old_client import OldBroker, Refused

HANDSET, RELAY, WORKSPACE = {"type": "handset"}, {"type": "relay"}, {"type": "workspace"}
PAGE = ROOT / "docs" / "network.md"
DRIVER = ROOT / "broker" / "server" / "src" / "drivers" / "plugin" / "tests" / "driver.py"
BLOCK_LIMIT_S = 120
SILENCE_LIMIT_S = 5


@pytest.fixture
def start(start_lab):
    """Starts a lab of that name with these handsets, a stack of relay and handset if there are two, and a rule."""

    def start(name, *serials, remote=None, **configuration):
        booted = {"platform": "android", "power_state": "boot_completed"}
        equipment = [{"type": "handset", "serial": serial, **booted} for serial in serials]
        stacks = []
        if len(serials) > 1:
            relay = {"type": "relay", "uid": f"{name}-a"}
            equipment.append({**relay, "circuits": {"usb.pc.vcc": 1}, "power_state": "online"})
            stacks = [[relay, {"type": "handset", "serial": serials[0]}]]
        files = {"equipment": equipment, "workspace": {"pretty": name}}
        configuration = {"silence_limit_s": SILENCE_LIMIT_S, **configuration}
        return start_lab(name, files=files, stacks=stacks, remote=remote, **configuration)

    return start


def forward(lab):
    """The rule of a broker that passes on to this one what it cannot serve."""
    return {"host": lab.address[0], "port": lab.address[1], "policy": "forward"}


def share(lab):
    """The rule of a broker that shares its equipment with this one."""
    return {**forward(lab), "policy": "share", "authkey": KEYS["share"]}


def serials(admin, **more):
    return sorted(profile["serial"] for profile in admin.list_available({"type": "handset", **more}))


def wait_for_handsets(master, *expected):
    """Waits until exactly these can be had there."""
    with master.admin() as admin:
        wait_for(lambda: serials(admin) == sorted(expected))


@pytest.fixture
def forwarder(start):
    """A lab with one handset, and the lab it forwards to."""
    far = start("far", "F1", "F2")
    return start("near", "N1", remote=forward(far)), far


@pytest.fixture
def master(start):
    """A lab with one handset, and the lab that shares with it."""
    near = start("near", "N1")
    far = start("far", "F1", "F2", remote=share(near))
    wait_for_handsets(near, "N1", "F1", "F2")
    return near, far


@pytest.fixture(params=["forwarder", "master"])
def pair(request):
    """The lab that scripts talk to, and the one behind it, joined one way and the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def chain(start):
    """Three labs, the first two without a handset: near forwards to middle, far shares with middle."""
    middle = start("middle")
    far = start("far", "F1", "F2", remote=share(middle))
    wait_for_handsets(middle, "F1", "F2")
    return start("near", remote=forward(middle)), middle, far


def client(lab):
    return Broker(home=lab.home)


def held(lab):
    with lab.admin() as admin:
        return sorted(profile.get("serial") or profile["uid"] for profile in admin.list_allocations_all())


def test_if_the_broker_cannot_satisfy_the_request_it_is_tried_there_instead(pair):
    near, far = pair
    with client(near) as broker:
        first, second = broker.get((HANDSET,), (HANDSET,))
        assert (first.profile["serial"], first.address) == ("N1", near.address)
        assert (second.profile["serial"], second.address) == ("F1", far.address)
        assert first.get_profile()["serial"] == "N1"
        assert second.get_profile()["serial"] == "F1"
        assert [profile["serial"] for profile in broker.list_allocations()] == ["N1", "F1"]
        assert held(far) == ["F1"]
    far.wait_until_free()


def test_this_chain_can_be_arbitrarily_long(start):
    labs = [start("lab0", "F1", "F2")]
    for number in range(1, 5):
        labs.append(start(f"lab{number}", remote=forward(labs[-1])))
    with client(labs[-1]) as broker:
        handset, relay, workspace = broker.get((HANDSET, {**RELAY, "circuits": ["usb.pc.vcc"]}, WORKSPACE))
        assert handset.address == relay.address == workspace.address == labs[0].address
        assert workspace.run(["sh", "-c", "echo hello"])[1] == "hello\r\n"
        assert labs[0].workspaces() == [workspace.profile["uid"]]
        assert not any(lab.workspaces() for lab in labs[1:])


def test_busy_and_no_such_arrive_as_these(pair):
    near, far = pair
    with client(near) as first, client(near) as second, client(near) as third:
        first.get((HANDSET,), (HANDSET,), (HANDSET,))
        with pytest.raises(Busy, match="^all such equipment busy"):
            second.get(HANDSET)
        with pytest.raises(AveException, match="^session closed"):
            second.get(HANDSET)
        with pytest.raises(NoSuch, match="^no such resource"):
            third.get({"type": "handset", "serial": "elsewhere"})


def test_a_stack_of_another_lab_is_a_stack_here(pair):
    near, far = pair
    with client(near) as broker, client(near) as other:
        handset, relay = broker.get(HANDSET, RELAY)
        assert (handset.profile["serial"], relay.profile["uid"]) == ("F1", "far-a")
        broker.yield_resources(handset)
        wait_for(lambda: held(far) == ["far-a"])
        with pytest.raises(Busy):
            other.get({"type": "handset", "serial": "F1"})


def test_what_is_yielded_there_can_be_had_again(pair):
    near, far = pair
    with client(near) as broker, far.admin() as admin:
        handset = broker.get({"type": "handset", "serial": "F2"})
        broker.yield_resources(handset)
        assert serials(admin) == ["F1", "F2"]
        with pytest.raises(AveException, match="no such resource"):
            handset.get_profile()
        wait_for_handsets(near, *(["N1", "F1", "F2"] if near.read("broker")["remote"] is None else ["N1"]))
        assert broker.get({"type": "handset", "serial": "F2"}).address == far.address


def test_a_script_that_is_killed_loses_what_it_has_in_other_labs(pair):
    near, far = pair
    script = (
        "import sys; from ave.broker import Broker; broker = Broker()\n"
        "workspace = broker.get({'type': 'workspace', 'pretty': 'far'})\n"
        "print(workspace.get_path(), flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "HOME": str(near.home)}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True, env=environment) as job:
        assert str(far.home) in job.stdout.readline()
        job.kill()
    wait_for(lambda: not far.workspaces())
    near.wait_until_free()


def ends_by_sigkill(middle):
    middle.process.kill()
    middle.process.wait(LIMIT_S)


def ends_by_an_administrator(middle):
    with middle.admin() as admin, contextlib.suppress(ConnectionClosed):
        admin.stop()
    middle.process.wait(LIMIT_S)


@pytest.mark.parametrize("ends", [ends_by_sigkill, ends_by_an_administrator])
def test_a_broken_chain_ends_the_session_everywhere(chain, ends):
    near, middle, far = chain
    with client(near) as broker:
        used, unused, here = broker.get((HANDSET,), (HANDSET,), (WORKSPACE,))
        assert here.address == near.address
        used.get_profile()
        here.get_path()
        ends(middle)
        far.wait_until_free()
        near.wait_until_free()
        for call in (used.get_profile, here.get_path):
            with pytest.raises(ConnectionClosed):
                call()
        with pytest.raises(ConnectionRefused):
            unused.get_profile()
        with pytest.raises(AveException, match="^session closed"):
            broker.get(HANDSET)
    with client(near) as broker, pytest.raises(Exit, match="^Broker connection failed"):
        broker.get(HANDSET)


def test_the_loss_of_a_lab_that_nothing_came_from_is_not_felt(chain):
    near, middle, far = chain
    with client(near) as broker:
        workspace = broker.get(WORKSPACE)
        ends_by_sigkill(middle)
        assert workspace.run(["sh", "-c", "echo hello"])[1] == "hello\r\n"


def test_administrators_see_and_steer_what_is_shared(master):
    near, far = master
    other = list(far.address)
    with near.admin() as admin, far.admin() as there:
        assert admin.list_shares() == [other]
        assert admin.list_allocators() == ["local", other]
        assert {profile.get("serial") for profile in admin.list_equipment(HANDSET, other)} == {"F1", "F2"}
        assert [profile["serial"] for profile in admin.list_equipment(HANDSET, "local")] == ["N1"]
        assert admin.list_stacks() == there.list_stacks() != []
        holders = {entry["profile"]["serial"]: entry["holder"] for entry in admin.list_holders(HANDSET)}
        assert holders == {"N1": "local", "F1": other, "F2": other}

        there.stop_sharing()
        wait_for(lambda: admin.list_shares() == [] and serials(admin) == ["N1"])
        assert there.start_sharing() == ["", far.address[1]]
        wait_for_handsets(near, "N1", "F1", "F2")
        for drop in (lambda: admin.drop_share(far.address), admin.drop_all_shares, there.restart_sharing):
            assert drop() is None
            wait_for_handsets(near, "N1", "F1", "F2")
        admin.drop_share(near.address)
        assert admin.list_shares() == [other]


def test_dropping_a_share_takes_nothing_from_those_who_hold_something(master):
    near, far = master
    with client(near) as broker, near.admin() as admin:
        handset = broker.get({"type": "handset", "serial": "F1"})
        admin.drop_all_shares()
        assert handset.get_profile()["serial"] == "F1"
        wait_for_handsets(near, "N1", "F2")


def test_the_lists_say_which_broker_has_a_piece(master):
    near, far = master
    ran = subprocess.run(
        [BINARY, "--list-all", "--home", str(near.home), *AS_ROOT], capture_output=True, text=True, timeout=30
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    paragraphs = {re.search("N1|F1|F2|far-a", text).group(): text for text in ran.stdout.split("\n\n")}
    at = "    {:13}  {}:{}".format("broker", *far.address)
    assert sorted(paragraphs) == ["F1", "F2", "N1", "far-a"]
    assert [name for name, text in sorted(paragraphs.items()) if at not in text] == ["N1"]


def test_a_broker_that_is_cut_off_leaves_the_lists_and_returns(master):
    near, far = master
    far.process.send_signal(signal.SIGSTOP)
    try:
        wait_for_handsets(near, "N1")
    finally:
        far.process.send_signal(signal.SIGCONT)
    wait_for_handsets(near, "N1", "F1", "F2")


@pytest.mark.parametrize("session_ports", [None, [20420, 20439]], ids=["one port", "session ports"])
def test_an_old_client_gets_what_is_at_the_end_of_a_chain(start, session_ports):
    more = {"session_ports": session_ports} if session_ports else {}
    middle = start("middle")
    far = start("far", "F1", "F2", remote=share(middle), **more)
    wait_for_handsets(middle, "F1", "F2")
    near = start("near", remote=forward(middle))
    old, late, lost = OldBroker(near.address), OldBroker(near.address), OldBroker(near.address)
    try:
        handset, relay, workspace = old.get((HANDSET, RELAY, WORKSPACE))
        assert (handset.address[1] == far.address[1]) == (session_ports is None)
        assert handset.call("get_profile")["serial"] == "F1"
        assert workspace.call("get_path").startswith(str(far.home))
        old.yield_resources(relay)
        with pytest.raises(Refused) as busy:
            late.get({"type": "handset", "serial": "F1"})
        assert busy.value.type == "Busy"
        with pytest.raises(Refused) as no_such:
            lost.get({"type": "handset", "serial": "F3"})
        assert no_such.value.type == "NoSuch"
        for proxy in (handset, workspace):
            proxy.connection.close()
    finally:
        for each in (old, late, lost):
            each.close()
            if each.session:
                each.session.close()


def blocks(language):
    """The code blocks of the page in one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert found
    return found


def describe(home, descriptor):
    """Brings a type of its own to a lab that is yet to start."""
    folder = home / ".ave" / "equipment.d"
    folder.mkdir(parents=True)
    (folder / "toaster.json").write_text(json.dumps(descriptor))
    return folder


def test_a_type_of_a_labs_own_is_driven_at_the_end_of_a_chain(start, start_lab, tmp_path):
    (known,) = [json.loads(block) for block in blocks("json") if "toaster" in block]
    for lab in "near", "middle":
        describe(tmp_path / lab, known)
    driven = {**known, "driver": {"command": [sys.executable, "./driver.py"]}, "limits": {"open_s": 10}}
    shutil.copy(DRIVER, describe(tmp_path / "far", driven))
    middle = start("middle")
    near = start("near", remote=forward(middle))
    equipment = [{"type": "toaster", "uid": "t1"}]
    far = start_lab("far", files={"equipment": equipment}, stacks=[], remote=share(middle))
    with middle.admin() as admin:
        wait_for(lambda: admin.list_available({"type": "toaster"}))
    with client(near) as broker:
        toaster = broker.get({"type": "toaster"})
        assert toaster.address == far.address
        assert toaster.echo("hello") == "hello"


SCRIPTS = dict(zip(["near", "middle"], blocks("python")))


@pytest.mark.parametrize("place", SCRIPTS)
def test_the_scripts_of_the_page_run(start, place):
    middle = start("middle", "M1")
    far = start("far", "F1", "F2", remote=share(middle))
    far.write("equipment", [{**each, "pretty": "togari"} for each in far.read("equipment")])
    with middle.admin() as admin:
        wait_for(lambda: len(admin.list_available({"type": "handset", "pretty": "togari"})) == 2)
    near = start("near", remote=forward(middle))
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPTS[place]],
        env={**os.environ, "HOME": str({"near": near, "middle": middle}[place].home)},
        capture_output=True,
        text=True,
        timeout=BLOCK_LIMIT_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout
