"""The documents tell the truth: their Python runs, their commands exist, their examples load."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "config-examples"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BROKER = os.environ.get("AVE_BROKER", str(TARGET / "debug" / "ave-broker"))
AS_ROOT = ["--allow-root"] if os.geteuid() == 0 else []

DOCUMENTS = sorted([ROOT / "README.md", EXAMPLES / "README.md", *ROOT.glob("docs/*.md")])
ALL_FREE_LIMIT_S = 5


def blocks(language):
    """All code blocks of one language, as (place, text)."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text()
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S):
            line = text[: match.start()].count("\n") + 1
            found.append(pytest.param(match.group(1), id=f"{document.name}:{line}"))
    assert found, f"no {language} blocks found"
    return found


def ave_broker(home, *options):
    return subprocess.run(
        [BROKER, *options, "--home", str(home), *AS_ROOT], capture_output=True, text=True, timeout=30
    )


def home_with(path, **files):
    """A home under `path` whose configuration files are copies of these."""
    config = path / ".ave" / "config"
    config.mkdir(parents=True)
    for name, source in files.items():
        shutil.copy(source, config / f"{name}.json")
    return path


@pytest.fixture(scope="module")
def example_lab(tmp_path_factory):
    """The home of a broker that runs the example lab."""
    files = {path.stem: path for path in EXAMPLES.glob("lab/*.json")}
    home = home_with(tmp_path_factory.mktemp("lab"), **files)
    started = ave_broker(home, "--start")
    assert started.returncode == 0, started.stdout + started.stderr
    yield home
    stopped = ave_broker(home, "--stop")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr


def wait_until_all_free(home):
    from ave.broker import Broker

    keys = json.loads((home / ".ave" / "config" / "authkeys.json").read_text())
    deadline = time.monotonic() + ALL_FREE_LIMIT_S
    with Broker(authkey=keys["admin"], home=str(home)) as admin:
        while len(admin.list_available()) < len(admin.list_equipment()):
            assert time.monotonic() < deadline, admin.list_allocations_all()
            time.sleep(0.01)


@pytest.mark.parametrize("source", blocks("python"))
def test_python_blocks_run_as_scripts_of_their_own(example_lab, source):
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        env={**os.environ, "HOME": str(example_lab)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not ran.stderr
    wait_until_all_free(example_lab)


@pytest.mark.parametrize("source", blocks("json"))
def test_json_blocks_are_json(source):
    json.loads(source)


def commands(program):
    """The commands of one program in shell blocks, without comments, as lists of words."""
    for block in blocks("sh"):
        for line in block.values[0].splitlines():
            words = line.split("#")[0].split()
            if words and words[0].endswith(program):
                yield words


def test_options_of_ave_broker_exist():
    known = set(re.findall(r"--[a-z-]+", ave_broker("/", "--help").stdout))
    used = {word.split("=")[0] for words in commands("ave-broker") for word in words[1:] if word[0] == "-"}
    text = "".join(document.read_text() for document in DOCUMENTS)
    used |= set(re.findall(r"`ave-broker (--[a-z-]+)", text))
    assert used, "no options found"
    assert used <= known


def test_targets_of_make_exist():
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    used = {words[1] for words in commands("make") if len(words) > 1}
    assert used, "no targets found"
    assert used <= known


def test_links_between_documents_lead_somewhere():
    found = [
        (document, link)
        for document in DOCUMENTS
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())
    ]
    assert found, "no links found"
    assert not [link for document, link in found if not (document.parent / link).exists()]


SINGLE_FILES = sorted(EXAMPLES.glob("*.json"))


@pytest.mark.parametrize("path", SINGLE_FILES, ids=lambda path: path.name)
def test_each_broker_json_of_the_examples_is_accepted(tmp_path, path):
    checked = ave_broker(home_with(tmp_path, broker=path), "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_example_lab_is_accepted(tmp_path):
    files = {path.stem: path for path in EXAMPLES.glob("lab/*.json")}
    assert sorted(files) == ["broker", "equipment", "workspace"]
    assert len(SINGLE_FILES) == 3
    checked = ave_broker(home_with(tmp_path, **files), "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_checks_are_numbered_without_a_gap():
    checks = (ROOT / "docs" / "protocol.md").read_text().split("## 10. Checks")[1].split("## A.")[0]
    assert [int(number) for number in re.findall(r"^(\d+)\. ", checks, re.M)] == list(range(1, 218))
    workspace = (ROOT / "docs" / "workspace.md").read_text()
    assert [int(number) for number in re.findall(r"^- W(\d+)\. ", workspace, re.M)] == list(range(1, 16))
