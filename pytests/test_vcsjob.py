"""What a job and its scheduler share. (Equipment 6.)"""

import json
import os

import pytest
import vcsjob

from ave.broker import Broker
from ave.exceptions import AveException

NAMES = ["OK", "ERROR", "NORUN", "BLOCKED", "BUSY", "FAILURES", "NOLIST", "KILLED", "NOFETCH", "TIMEOUT"]


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for name in ("VCSJOB_PROFILES", "VCSJOB_GUID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_the_statuses_have_their_numbers_and_names():  # V1
    assert [getattr(vcsjob, name) for name in NAMES] == list(range(10))
    assert [vcsjob.exit_to_str(status) for status in range(10)] == [f"vcsjob.{name}" for name in NAMES]
    for unknown in (-1, 10):
        with pytest.raises(AveException, match="^unknown exit code"):
            vcsjob.exit_to_str(unknown)


def test_profiles_reach_the_job_with_inner_lists_as_tuples():  # V5
    handset, relay = {"type": "handset", "pretty": "blåbär"}, {"type": "relay"}
    vcsjob.set_profiles([handset, [handset, relay], (relay,)])
    assert vcsjob.get_profiles() == [handset, (handset, relay), (relay,)]
    assert json.loads(os.environ["VCSJOB_PROFILES"]) == [handset, [handset, relay], [relay]]


def test_profiles_are_ready_for_get(lab):
    vcsjob.set_profiles([[{"type": "handset"}, {"type": "relay"}], {"type": "workspace"}])
    with Broker() as broker:
        resources = broker.get(*vcsjob.get_profiles())
        assert [each.profile["type"] for each in resources] == ["handset", "relay", "workspace"]


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        (({"type": "handset"},), "^profiles must be a list$"),
        ({"type": "handset"}, "^profiles must be a list$"),
        (["handset"], "^profile is not a dictionary"),
        ([["handset"]], "^profile is not a dictionary"),
        ([{}], '"type" field is missing'),
        ([[{"type": 1}]], "not a string"),
    ],
    ids=str,
)
def test_other_profiles_are_refused(profiles, message):
    with pytest.raises(AveException, match=message):
        vcsjob.set_profiles(profiles)
    assert "VCSJOB_PROFILES" not in os.environ


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "^VCSJOB_PROFILES is not JSON: "),
        ("[{", "^VCSJOB_PROFILES is not JSON: "),
        ("{}", "^profiles must be a list$"),
        ('["handset"]', "^profile is not a dictionary"),
    ],
    ids=str,
)
def test_an_environment_without_profiles_is_explained(monkeypatch, text, message):
    monkeypatch.setenv("VCSJOB_PROFILES", text)
    with pytest.raises(AveException, match=message):
        vcsjob.get_profiles()


def test_what_was_not_set_is_named():
    with pytest.raises(AveException, match="^no profiles set$"):
        vcsjob.get_profiles()
    with pytest.raises(AveException, match="^guid not set$"):
        vcsjob.get_guid()


def test_the_guid_reaches_the_job():
    vcsjob.set_guid("nightly å")
    assert vcsjob.get_guid() == os.environ["VCSJOB_GUID"] == "nightly å"
