"""A handset through the wheel: how arguments are given, and what exceptions scripts catch."""

import pytest

from ave.broker import Broker
from ave.exceptions import AveException, Offline, Timeout


@pytest.fixture
def handset(phone_lab, phone):
    with Broker() as broker:
        yield broker.get({"type": "handset", "serial": phone.serial})


def test_c1_arguments_are_given_by_position_by_name_and_both(handset):  # 67
    handset.mkdir("/sdcard/a")
    handset.mkdir(target="/sdcard/b/c", parents=True)
    handset.mkdir("/sdcard/b/c", parents=True)
    assert sorted(handset.ls(path="/sdcard")) == ["a", "b"]
    assert handset.path_exists("/sdcard/a", file_type="directory")
    assert handset.shell(args=["echo", "hi"], timeout=5) == "hi\r\n"


def test_c5_c6_exceptions_have_their_class_and_fields_and_the_session_goes_on(handset, phone):
    with pytest.raises(Timeout) as late:
        handset.shell(["echo begun; sleep 55"], timeout=3)
    assert late.value.out == "begun\r\n"
    assert late.value.cmd == ["adb", "-s", phone.serial, "shell", "echo begun; sleep 55"]
    with pytest.raises(AveException, match="No such file or directory: /nope"):
        handset.ls("/nope")
    with pytest.raises(AveException, match="no such RPC: device"):
        handset.device()
    phone.order("unplug")
    assert handset.wait_power_state("offline", timeout=60) == "offline"
    with pytest.raises(Offline, match="Handset is offline. Failed to execute adb -s"):
        handset.ls("/")
    phone.order("plug")
    assert handset.wait_power_state(["adb", "boot_completed"], 60) == "boot_completed"


def test_c4_no_result_is_none_and_bad_bytes_break_no_reply(handset):
    assert handset.mkdir("/sdcard/x") is None
    assert handset.shell([r"printf '\377!'"]) == "\ufffd!"
    pid, fd = handset.shell("sleep 55", bg=True)
    assert handset.kill_background_cmd(pid, fd) is None
