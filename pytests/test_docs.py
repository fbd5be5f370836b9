"""The documents tell the truth: their Python runs, their commands exist, their examples load."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import AS_ROOT, BINARY, ROOT

EXAMPLES = ROOT / "config-examples"
DOCUMENTS = sorted([ROOT / "README.md", EXAMPLES / "README.md", *ROOT.glob("docs/*.md")])
BLOCK_LIMIT_S = 120


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
        [BINARY, *options, "--home", str(home), *AS_ROOT], capture_output=True, text=True, timeout=30
    )


def home_with(path, **files):
    """A home under `path` whose configuration files are copies of these."""
    config = path / ".ave" / "config"
    config.mkdir(parents=True)
    for name, source in files.items():
        shutil.copy(source, config / f"{name}.json")
    return path


def scripts():
    """The Python of all documents but two: test_plugins.py and test_network.py run theirs."""
    elsewhere = "new-equipment.md", "network.md"
    return [block for block in blocks("python") if not block.id.startswith(elsewhere)]


@pytest.mark.parametrize("source", scripts())
def test_python_blocks_run_as_scripts_of_their_own(request, source):
    about_handsets = request.node.callspec.id.startswith("handset.md")
    lab = request.getfixturevalue("phone_lab" if about_handsets else "lab")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        env={**os.environ, "HOME": str(lab.home)},
        capture_output=True,
        text=True,
        timeout=BLOCK_LIMIT_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not ran.stderr


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


def test_options_of_vcsjob_exist():
    used = [words for words in commands("vcsjob") if "|" not in words]
    assert used, "no commands found"
    for words in used:
        vcsjob_command = next(word for word in words[1:] if word[0] != "-")
        shown = [sys.executable, "-m", "vcsjob", vcsjob_command, "--help"]
        known = subprocess.run(shown, capture_output=True, text=True, timeout=30, check=True).stdout
        assert {word for word in words[1:] if word[0] == "-"} <= set(re.findall(r"--?[a-z-]+", known))


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


def test_log_lines_about_other_brokers_are_the_brokers_own():
    page = (ROOT / "docs" / "network.md").read_text()
    lines = re.findall(r"^\| `([a-z ,:]+?)(?: [a-z_]+=.*?| \.\.\.)` \|", page, re.M)
    assert len(lines) == 10
    source = "".join(path.read_text() for path in ROOT.glob("broker/server/src/**/*.rs"))
    assert [line for line in lines if f'"{line}"' not in source] == []


SINGLE_FILES = sorted(EXAMPLES.glob("*.json"))


@pytest.mark.parametrize("path", SINGLE_FILES, ids=lambda path: path.name)
def test_each_broker_json_of_the_examples_is_accepted(tmp_path, path):
    checked = ave_broker(home_with(tmp_path, broker=path), "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_example_lab_is_accepted(tmp_path):
    files = {path.stem: path for path in EXAMPLES.glob("lab/*.json")}
    assert sorted(files) == ["broker", "devantech", "equipment", "handset", "workspace"]
    assert len(SINGLE_FILES) == 4
    checked = ave_broker(home_with(tmp_path, **files), "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("lab", ["near", "middle", "far"])
def test_the_files_of_joined_labs_are_accepted_and_shown(tmp_path, lab):
    files = {path.stem: path for path in (EXAMPLES / "network" / lab).glob("*.json")}
    assert sorted(files) == ["broker", "equipment", "workspace"]
    checked = ave_broker(home_with(tmp_path, **files), "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    shown = [block.values[0] for block in blocks("json") if block.id.startswith("network.md")]
    assert files["broker"].read_text() in shown


def test_the_checks_are_numbered_without_a_gap():
    checks = (ROOT / "docs" / "protocol.md").read_text().split("## 10. Checks")[1].split("## A.")[0]
    assert sorted(int(number) for number in re.findall(r"^(\d+)\. ", checks, re.M)) == list(range(1, 227))
    workspace = (ROOT / "docs" / "workspace.md").read_text()
    assert [int(number) for number in re.findall(r"^- W(\d+)\. ", workspace, re.M)] == list(range(1, 16))
    handset = (ROOT / "docs" / "handset.md").read_text()
    assert [int(number) for number in re.findall(r"^- H(\d+)\. ", handset, re.M)] == list(range(1, 30))
