"""Writes the configuration of one of the three joined labs so that all of them run on this machine.

Usage: network_lab.py HOMES LAB    (middle first: the others have to know its port and its share key)
"""

import json
import pathlib
import shutil
import sys

LABS = pathlib.Path(__file__).with_name("network")
SILENCE_LIMIT_S = 2  # nobody wants to watch for the usual 12


def main():
    homes, lab = pathlib.Path(sys.argv[1]), sys.argv[2]
    config = homes / lab / ".ave" / "config"
    shutil.copytree(LABS / lab, config)
    broker = json.loads((config / "broker.json").read_text())
    broker.update(host="127.0.0.1", listen="127.0.0.1", port=0, silence_limit_s=SILENCE_LIMIT_S)
    # What is really plugged in here is left alone.
    broker.update(usb_devices=str(homes / "usb"), device_nodes=str(homes / "dev"))
    if remote := broker.get("remote"):
        middle = homes / "middle" / ".ave"
        remote.update(host="127.0.0.1", port=int((middle / "run" / "port").read_text()))
        if remote["policy"] == "share":
            remote["authkey"] = json.loads((middle / "config" / "authkeys.json").read_text())["share"]
    (config / "broker.json").write_text(json.dumps(broker, indent=4))
    (config / "adb_server.json").write_text('{"port": 0}')


if __name__ == "__main__":
    main()
