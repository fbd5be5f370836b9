"""Profiles to ask for, as types: they tell an editor what ``Broker.get`` returns.

A plain dictionary asks for the same. One with a member that is not here is none of these, and what ``get``
returns then has no type of its own.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

__all__ = ["WantedHandset", "WantedRelay", "WantedWorkspace"]


class _Handset(TypedDict):
    type: Literal["handset"]


class _Relay(TypedDict):
    type: Literal["relay"]


class _Workspace(TypedDict):
    type: Literal["workspace"]


_HandsetMembers = TypedDict(
    "_HandsetMembers",
    {
        "serial": str,
        "sysfs_path": str,
        "power_state": str,
        "workstation": str,
        "usb.vid": str,
        "usb.pid": str,
        "platform": str,
        "product.model": str,
        "product.name": str,
        "sdk.version": int,
        "sw.label": str,
        "sw_type": str,
        "private_sw_id": str,
        "gsm.operator": str,
        "apn.sim.operator": str,
        "phone.type": str,
        "network.type": str,
        "operator.country": str,
        "operator.isroaming": str,
        "operator.numeric": str,
        "sim.operator": str,
        "sim.country": str,
        "sim.operator.numeric": str,
        "gsm-capable": bool,
        "pretty": str,
        "imei": str,
        "slid": str,
    },
    total=False,
)
_RelayMembers = TypedDict(
    "_RelayMembers", {"uid": str, "circuits": "list[str] | dict[str, Any]", "power_state": str}, total=False
)
_WorkspaceMembers = TypedDict(
    "_WorkspaceMembers", {"uid": str, "tools": list[str], "pretty": str, "wifi-capable": bool}, total=False
)


class WantedHandset(_Handset, _HandsetMembers):
    """A handset."""


class WantedRelay(_Relay, _RelayMembers):
    """A relay."""


class WantedWorkspace(_Workspace, _WorkspaceMembers):
    """A workspace."""
