"""Configures this home's broker for a simulated bench.

Usage: simulated_lab.py BENCH  (the line of JSON that `ave-simulated bench` prints)

It is the lab of `lab/` with what is really there: phone n hangs on the relay in group n of the board.
"""

import json
import pathlib
import shutil
import string
import sys

LAB = pathlib.Path(__file__).with_name("lab")
PRETTY = "yuga", "togari"


def main():
    bench = json.loads(sys.argv[1])
    config = pathlib.Path.home() / ".ave" / "config"
    config.mkdir(parents=True)
    broker = json.loads((LAB / "broker.json").read_text())
    broker["usb_devices"], broker["device_nodes"] = bench["usb_devices"], bench["device_nodes"]
    broker["stacks"] = [
        [{"type": "relay", "uid": f"{bench['board']}.{group}"}, {"type": "handset", "serial": phone["serial"]}]
        for group, phone in zip(string.ascii_lowercase, bench["phones"])
    ]
    names = [{"model": phone["model"], "pretty": pretty} for phone, pretty in zip(bench["phones"], PRETTY)]
    files = {
        "broker.json": broker,
        "adb_server.json": {"port": bench["adb_port"]},
        "handset.json": {"handsets": names},
    }
    for name, content in files.items():
        (config / name).write_text(json.dumps(content, indent=4))
    for name in "devantech.json", "workspace.json":
        shutil.copy(LAB / name, config)


if __name__ == "__main__":
    main()
