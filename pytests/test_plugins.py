"""Types driven by a lab's own programs, seen from scripts, and the page that shows how to make one."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import ave.exceptions
from ave.broker import Broker
from conftest import AS_ROOT, BINARY, ROOT

PAGE = ROOT / "docs" / "new-equipment.md"
EXAMPLE = ROOT / "config-examples" / "powermeter"
DRIVER = ROOT / "broker" / "server" / "src" / "drivers" / "plugin" / "tests" / "driver.py"
PAGE_LIMIT_S = 120
TOASTER = {
    "type": "toaster",
    "identity": "uid",
    "driver": {"command": [sys.executable, "./driver.py"]},
    "limits": {"open_s": 10},
}


@pytest.fixture
def toaster(tmp_path, start_lab):
    """A piece whose driver does what its caller wants."""
    folder = tmp_path / ".ave" / "equipment.d"
    folder.mkdir(parents=True)
    (folder / "toaster.json").write_text(json.dumps(TOASTER))
    shutil.copy(DRIVER, folder)
    start_lab(files={"equipment": [{"type": "toaster", "uid": "t1"}]}, open_limit_s=10)
    with Broker() as broker:
        yield broker.get({"type": "toaster"})


def test_c1_arguments_by_place_by_name_and_mixed(toaster):
    assert [toaster.echo(1), toaster.echo(value=2), toaster.echo()] == [1, 2, None]
    assert toaster.tell("hello", lines=2) is None
    with pytest.raises(Exception, match="unexpected keyword argument 'valeu'"):
        toaster.echo(valeu=1)


def test_c2_what_is_not_listed_does_not_exist(toaster):
    with pytest.raises(Exception, match="no such RPC: toast"):
        toaster.toast()


def test_c4_tuples_arrive_as_lists_and_bytes_are_an_error_for_that_call(toaster):
    assert toaster.echo((1, ("å", None))) == [1, ["å", None]]
    with pytest.raises(Exception, match="value: a byte string cannot be passed to a driver"):
        toaster.echo(b"\xff")
    assert toaster.echo("still there") == "still there"


@pytest.mark.parametrize("name", ["Timeout", "RunError", "Offline", "Restarting"])
def test_c5_c6_exceptions_are_caught_by_class_with_their_members(toaster, name):
    raised = {"type": name, "message": "too late", "cmd": ["ls"], "out": "a"}
    with pytest.raises(getattr(ave.exceptions, name), match="^too late$") as caught:
        toaster.fail(raised)
    assert (caught.value.cmd, caught.value.out) == (["ls"], "a")
    assert toaster.echo(1) == 1


def test_p_11_an_exception_of_the_drivers_own_keeps_its_type(toaster):
    with pytest.raises(ave.exceptions.AveException, match="^jammed$") as caught:
        toaster.fail({"type": "Jammed", "message": "jammed", "slot": 2})
    assert (caught.value.type, caught.value.slot) == ("Jammed", 2)


def blocks(language):
    """The code blocks of the page in one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert found, f"no {language} blocks found"
    return found


def test_the_commands_of_the_page_work_one_after_the_other(tmp_path):
    """They are those of a reader, in one shell; only where the broker is, and that it may be root, is said."""
    tools = tmp_path / "bin"
    tools.mkdir()
    broker = tools / "ave-broker"
    broker.write_text(f'#!/bin/sh\nexec "{BINARY}" "$@" {" ".join(AS_ROOT)}\n')
    broker.chmod(0o755)
    path = os.pathsep.join([str(tools), os.path.dirname(sys.executable), os.environ["PATH"]])
    script = "set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "".join(blocks("sh"))
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PAGE_LIMIT_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for line in ["powermeter: ", "✓ nothing is left running: nothing", "meter-1 reads {", " W on average"]:
        assert line in ran.stdout, ran.stdout + ran.stderr
    assert "✗" not in ran.stdout


def test_the_page_shows_the_files_that_are_shipped():
    (descriptor,) = blocks("json")
    assert json.loads(descriptor) == json.loads((EXAMPLE / "powermeter.json").read_text())
    driver, script = blocks("python")
    assert driver in (EXAMPLE / "powermeter.py").read_text()
    assert script in (EXAMPLE / "measure.py").read_text()
