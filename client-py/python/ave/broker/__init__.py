"""Lends equipment: the one name a script needs.

>>> from ave.broker import Broker
>>> with Broker(home=home) as broker:
...     handset, relay = broker.get({'type': 'handset'}, {'type': 'relay'})
...     relay.profile['type']
'relay'
"""

from ave.broker._broker import RemoteBroker

__all__ = ["Broker", "RemoteBroker"]

#: What scripts call it.
Broker = RemoteBroker
