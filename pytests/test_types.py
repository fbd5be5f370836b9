"""A lab's own type, described by a file: scripts need no new code for it (P-12, P-14)."""

import json

import pytest

from ave.broker import Broker
from conftest import wait_for

OVEN = {
    "type": "oven",
    "identity": "name",
    "kept": ["room"],
    "rules": {"trays": "names"},
    "listers": [{"file": {"path": "ovens.json"}}],
}
RELAY = {"type": "relay", "uid": "heat", "power_state": "online", "circuits": {"usb.pc.vcc": 1}}


@pytest.fixture
def oven_lab(tmp_path, start_lab):
    """A lab with an oven, and a relay on it."""
    folder = tmp_path / ".ave" / "equipment.d"
    folder.mkdir(parents=True)
    (folder / "oven.json").write_text(json.dumps(OVEN))
    stack = [{"type": "oven", "name": "kitchen"}, {"type": "relay", "uid": "heat"}]
    lab = start_lab(stacks=[stack])
    trays = {"deep": 1, "flat": 2}
    lab.write("ovens", [{"type": "oven", "name": "kitchen", "room": 7, "trays": trays}])
    lab.write("equipment", [RELAY])
    with lab.admin() as admin:
        wait_for(lambda: len(admin.list_equipment()) == 2)
    return lab


def test_p_12_a_new_type_has_a_generic_proxy(oven_lab):
    with Broker() as broker:
        oven = broker.get({"type": "oven", "trays": ["deep"]})
        assert oven.profile == {"type": "oven", "name": "kitchen", "room": 7, "trays": {"deep": 1}}
        assert oven.get_profile() == oven.profile
        with pytest.raises(Exception, match='no driver for type "oven": bake'):
            oven.bake(minutes=3)


def test_p_14_a_new_type_is_lent_in_stacks(oven_lab):
    with Broker() as broker:
        oven, relay = broker.get(({"type": "oven"}, {"type": "relay"}))
        assert (oven.profile["name"], relay.profile["uid"]) == ("kitchen", "heat")
    oven_lab.wait_until_free()
    with Broker() as broker:
        broker.get({"type": "oven"})
        with oven_lab.admin() as admin:
            assert [piece["uid"] for piece in admin.list_collateral_all()] == ["heat"]
