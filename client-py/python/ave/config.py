"""Where a broker is, by the configuration files of its home. (Specification 8.1, 8.2.)"""

from __future__ import annotations

import ipaddress
import json
import os
import pwd
from pathlib import Path
from typing import Any, Callable, Optional, Union

from ave.exceptions import AveException

#: Says whose home holds the configuration of this host.
USER_FILE = Path("/etc/ave/user")

#: The port of a broker that configures none.
PORT = 4000

# Where to connect to a broker that listens everywhere.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}

# Messages about this file have always named this type so.
_TYPE_NAMES = {str: "unicode"}


def find_home() -> Path:
    """Finds the directory that holds ``.ave``.

    :returns: The home that ``/etc/ave/user`` names, or the invoking user's if there is no such file.
    :raises AveException: The file is not valid, or names an unknown user. (Specification 8.1.)
    """
    if not USER_FILE.exists():
        return Path.home()
    try:
        user = _load(USER_FILE)
    except ValueError as error:
        raise AveException(f"could not load {USER_FILE}: {error}") from None
    if "name" not in user:
        raise AveException(f'could not load {USER_FILE}: invalid {USER_FILE}: no "name" entry: {json.dumps(user)}')
    if "home" in user:
        return Path(user["home"])
    try:
        return Path(pwd.getpwnam(user["name"]).pw_dir)
    except KeyError:
        raise AveException(f"no such user: {user['name']}") from None


def find_broker(home: Optional[Union[str, Path]] = None) -> tuple[str, int]:
    """Finds the broker of a home by its ``broker.json``.

    :arg home: The directory that holds ``.ave``; :func:`find_home` if not given.
    :returns: The host and port to connect to: ``host`` if it is configured, else the address the broker
        listens at. Port 0 means the one that the running broker has written down.
    :raises AveException: A file is missing or not valid. (Specification 8.2.)
    """
    root = Path(home or find_home()) / ".ave"
    path = root / "config" / "broker.json"
    try:
        config = _load(path)
    except FileNotFoundError:
        raise AveException(f"no such configuration file: {path}") from None
    except ValueError as error:
        raise AveException(f"could not load broker configuration file: {error}") from None
    host = _member(config, "host", "<string>", "", lambda value: isinstance(value, str))
    listen = _member(config, "listen", "<IP address>", "0.0.0.0", _is_ip)
    port = _member(config, "port", "<int>", PORT, lambda value: type(value) is int and 0 <= value < 1 << 16)
    return host or _LOOPBACK.get(listen, listen), port or _running_port(root / "run" / "port")


def _load(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"Expecting an object, found a {type(content).__name__}")
    return content


def _member(config: dict[str, Any], name: str, form: str, default: Any, valid: Callable[[Any], bool]) -> Any:
    value = config.get(name, default)
    if valid(value):
        return value
    found = _TYPE_NAMES.get(type(value), type(value).__name__)
    raise AveException(
        f'broker attribute "{name}" must be on the form {{"{name}":{form}}}. '
        f"current value={value} (type=<type '{found}'>)"
    )


def _is_ip(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def _running_port(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        raise AveException(f'"port" is 0 and no running broker has written its port to {path}') from None
