"""The page of the types without a driver of the broker's own says what their descriptors and programs say."""

import importlib.util
import inspect
import json
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = {kind["type"]: kind for kind in json.loads((ROOT / "broker/profile/src/kinds.json").read_text())}
PAGES = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", (ROOT / "docs/instruments.md").read_text(), re.M | re.S))
OWN_PAGES = {"handset", "relay", "workspace"}
PROGRAMS = {"testdrive": ("gps", "TestDrive"), "powermeter": ("powermeter", "PowerMeter")}


def table(page, head):
    """The rows of the table with that head."""
    rows = page.partition(f"| {head} |")[2].partition("|---|---|\n")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `(.+?)` \| (.+) \|$", rows, re.M))


def test_every_type_has_a_page():
    assert set(PAGES) == set(KINDS) - OWN_PAGES
    assert all((ROOT / "docs" / f"{kind}.md").exists() for kind in OWN_PAGES)


@pytest.mark.parametrize("kind", PAGES)
def test_members_are_those_of_the_descriptor(kind):
    assert table(PAGES[kind], "member") == KINDS[kind]["fields"]


@pytest.mark.parametrize("kind", PROGRAMS)
def test_calls_are_those_of_the_shipped_program(kind, monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # a driver keeps it for frames
    folder, name = PROGRAMS[kind]
    path = ROOT / "config-examples" / folder / f"{kind}.py"
    spec = importlib.util.spec_from_file_location(kind, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    calls = inspect.getmembers(getattr(module, name), inspect.isfunction)
    shown = {
        f"{call}{signature(function)}": inspect.getdoc(function).partition("\n")[0]
        for call, function in calls
        if not call.startswith("_")
    }
    assert shown, "no calls found"
    assert table(PAGES[kind], "call") == shown


def signature(function):
    """Without `self`."""
    found = inspect.signature(function)
    return found.replace(parameters=list(found.parameters.values())[1:])
