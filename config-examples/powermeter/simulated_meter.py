#!/usr/bin/env python3
"""Imitates a power meter on a serial line: writes a reading a hundred times a second.

Usage: simulated_meter.py LINK    (makes LINK lead to the device; it is gone when this ends)
"""

import itertools
import os
import select
import signal
import sys
import time
import tty

PAUSE_S = 0.01


def write_readings(meter):
    """For ever; what nobody reads is lost, as on a real line."""
    for number in itertools.count():
        if select.select([], [meter], [], 0)[1]:
            os.write(meter, b"5.00 0.%d\n" % (50 + number % 10))
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    meter, device = os.openpty()
    tty.setraw(device)
    os.set_blocking(meter, False)
    os.symlink(os.ttyname(device), sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        print(sys.argv[1], flush=True)
        write_readings(meter)
    except KeyboardInterrupt:
        pass
    finally:
        os.unlink(sys.argv[1])
