"""The wheel as a package: what is in it, its types, its documentation."""

import doctest
import importlib
import inspect
import pathlib
import pkgutil
import shutil
import subprocess
import sys
import zipfile

import pytest

import ave
import ave._client
import vcsjob
from ave.broker import Broker
from conftest import ROOT

PACKAGE = ROOT / "client-py"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    maturin = shutil.which("maturin", path=pathlib.Path(sys.executable).parent)
    manifest = PACKAGE / "Cargo.toml"
    out = tmp_path_factory.mktemp("wheel")
    run(maturin, "build", "--locked", "--manifest-path", str(manifest), "--out", str(out))
    (path,) = out.iterdir()
    return path


def test_one_wheel_for_python_3_9_and_later_holds_everything(wheel):
    assert wheel.name.startswith("ave-0.") and "-cp39-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    sources = {str(path.relative_to(PACKAGE / "python")) for path in (PACKAGE / "python").rglob("*.py*")}
    sources = {name for name in sources if not name.endswith((".pyc", "__pycache__"))}
    assert len(sources) > 10
    assert sources <= set(names)
    assert "ave/_client.abi3.so" in names
    assert "ave/__init__.py" not in names


def test_other_distributions_can_add_to_the_namespace(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "ours")
    other = tmp_path / "theirs" / "ave" / "other"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("NAME = 'theirs'\n")
    source = "import ave.other, ave.broker, vcsjob; print(ave.other.NAME, ave.broker.__file__)"
    for order in [("ours", "theirs"), ("theirs", "ours")]:
        path = ":".join(str(tmp_path / part) for part in order)
        printed = run(sys.executable, "-S", "-W", "error", "-c", source, env={"PYTHONPATH": path})
        assert printed.split() == ["theirs", str(tmp_path / "ours/ave/broker/__init__.py")]


def test_the_stub_says_what_the_extension_has():
    run(sys.executable, "-m", "mypy.stubtest", "ave._client", cwd=PACKAGE)


def test_the_package_and_a_script_that_uses_it_are_typed(tmp_path):
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path)]
    run(*mypy, "--python-version", "3.10", "python/ave", "python/vcsjob", cwd=PACKAGE)
    run(*mypy, str(ROOT / "pytests" / "typed_script.py"), cwd=tmp_path)


def modules():
    found = ["vcsjob"]
    for package in (ave, vcsjob):
        found += [info.name for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    assert len(found) > 8, found
    return [importlib.import_module(name) for name in found]


def test_everything_public_is_documented():
    count = 0
    for module in modules():
        assert module.__doc__, module
        for name, member in vars(module).items():
            if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(member) or inspect.isfunction(member):
                count += 1
                assert inspect.getdoc(member), member
                methods = inspect.getmembers(member, inspect.isfunction) if inspect.isclass(member) else []
                undocumented = [each for each, method in methods if each[0] != "_" and not method.__doc__]
                assert not undocumented, (member, undocumented)
    assert count > 50


EXAMPLES = [
    test
    for module in modules()
    for test in doctest.DocTestFinder(exclude_empty=True).find(module)
    if test.examples
]


@pytest.mark.parametrize("test", EXAMPLES, ids=lambda test: test.name)
def test_examples_in_docstrings_run(test, lab, broker, admin, monkeypatch):
    for name in ("VCSJOB_PROFILES", "VCSJOB_GUID"):
        monkeypatch.setenv(name, "")
    with lab.share() as share:
        test.globs = {
            **vars(importlib.import_module("ave.exceptions")),
            **vars(importlib.import_module("ave.broker.exceptions")),
            **vars(vcsjob),
            **test.globs,
            **{"Broker": Broker, "broker": broker, "admin": admin, "share": share, "home": lab.home},
        }
        report = []
        doctest.DocTestRunner().run(test, out=report.append)
        assert not report, "".join(report)


def test_there_are_examples():
    assert len(EXAMPLES) > 25
