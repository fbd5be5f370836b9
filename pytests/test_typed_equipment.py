"""What an editor knows of equipment is what the broker serves and the documents say."""

import inspect
import json
import re
import subprocess
import sys

import pytest

from ave.broker import resource, wanted
from ave.broker._remote import Remote
from conftest import AS_ROOT, BINARY, ROOT

TYPES = {
    "handset": resource.RemoteHandset,
    "relay": resource.RemoteRelay,
    "workspace": resource.RemoteWorkspace,
}


def declared(kind):
    """The calls of a type by name, each as ``name(argument, argument=default)``."""
    found = {}
    for name, method in inspect.getmembers(TYPES[kind], inspect.isfunction):
        if name[0] != "_" and not hasattr(Remote, name):
            parameters = list(inspect.signature(method).parameters.values())[1:]
            plain = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
            found[name] = f"{name}({', '.join(map(str, plain))})"
    assert found
    return found


def by_name(calls):
    """Those of Android come last, and count."""
    return {call.partition("(")[0]: call for call in calls}


@pytest.mark.parametrize("kind", TYPES)
def test_calls_are_declared_as_they_are_documented(kind):
    text = (ROOT / "docs" / f"{kind}.md").read_text()
    assert declared(kind) == by_name(re.findall(r"^\| `([a-z_]+\(.*?\))` \|", text, re.M))


@pytest.mark.parametrize("kind", TYPES)
def test_calls_are_declared_as_the_broker_serves_them(kind, tmp_path):
    line = [BINARY, "--list-types", "--json", "--home", str(tmp_path), *AS_ROOT]
    listed = json.loads(subprocess.run(line, capture_output=True, check=True, timeout=30).stdout)
    (methods,) = [each["methods"] for each in listed if each["type"] == kind]
    assert declared(kind) == by_name(methods)


def test_wanted_handsets_have_the_members_of_the_profile():
    table = (ROOT / "docs" / "handset.md").read_text().split("## Profile")[1].split("\n\n")[2]
    rows = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    members = {name for row in rows for name in re.findall("`([^`]+)`", row)}
    assert members
    assert set(wanted.WantedHandset.__annotations__) - {"type"} == members


@pytest.mark.parametrize(
    "mistake",
    [
        "h.wait_power_state(timeout=5)",
        "h.wait_power_state('adb', timeout='long')",
        "h.shell('ls', background=True)",
        "r.set_circuit()",
        "w.run(7)",
        "h.get_power_state() + 1",
    ],
)
def test_mistakes_are_found_before_a_script_runs(tmp_path, mistake):
    (tmp_path / "script.py").write_text(
        "from ave.broker import Broker\n"
        'h, r, w = Broker().get({"type": "handset"}, {"type": "relay"}, {"type": "workspace"})\n'
        f"{mistake}\n"
    )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path.parent / "mypy"), "script.py"]
    done = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert re.findall(r"^script.py:(\d+): error", done.stdout, re.M) == ["3"], done.stdout
