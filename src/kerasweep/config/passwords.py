"""Keeps passwords of addresses out of saved configurations: an environment variable holds each instead."""

import os
import re
from collections.abc import Sequence

from omegaconf import DictConfig, open_dict

# The keys of addresses, with the variables of their passwords. Workers have the same environment.
VARIABLES = {
    "tracking.uri": "KERASWEEP_TRACKING_PASSWORD",
    "storage.url": "KERASWEEP_STORAGE_PASSWORD",
}
PASSWORD = re.compile(r"(?<=://)([^/:@\s]*):([^/@\s]+)@")


def hide_passwords(arguments: Sequence[str]) -> list[str]:
    """Returns a command's arguments, in which references to variables replace passwords.

    Hydra saves the overrides of each job.
    """
    return [_without_password(argument.lstrip("+").partition("=")[0], argument) for argument in arguments]


def hide_passwords_in(cfg: DictConfig) -> None:
    """Replaces passwords of a configuration, which may come from a file, by references to variables."""
    for key in VARIABLES:
        group, _, name = key.partition(".")
        node = cfg._get_node(group)
        if isinstance(node, DictConfig) and not (node._is_none() or node._is_missing()) and name in node:
            value = node._get_node(name)
            text = value._value() if value is not None else None
            if isinstance(text, str) and _without_password(key, text) != text:
                with open_dict(node):
                    node[name] = _without_password(key, text)


def _without_password(key: str, text: str) -> str:
    """Returns a text in which a reference replaces the password, and keeps the password in its variable."""

    def keep(match: re.Match[str]) -> str:
        if match[2].startswith("${"):
            return match[0]
        os.environ[VARIABLES[key]] = match[2]
        return f"{match[1]}:${{oc.env:{VARIABLES[key]}}}@"

    return PASSWORD.sub(keep, text) if key in VARIABLES else text
