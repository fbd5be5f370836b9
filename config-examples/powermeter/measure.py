#!/usr/bin/env python3
"""A script that measures: any power meter of the lab will do."""

from ave.broker import Broker

with Broker() as broker:
    meter = broker.get({"type": "powermeter"})
    print(meter.profile["uid"], "reads", meter.read())
    print(meter.measure(duration_s=0.5)["mean"], "W on average")
