"""Keeps passwords of addresses out of saved configurations: an environment variable holds each instead."""

import os
import re
from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf, open_dict

from kerasweep.errors import ConfigError

# The keys of addresses, with the variables of their passwords. Workers have the same environment.
VARIABLES = {
    "tracking.uri": "KERASWEEP_TRACKING_PASSWORD",
    "storage.url": "KERASWEEP_STORAGE_PASSWORD",
}
# In `user:PASSWORD@host`, where the last @ counts, and in `?password=…`. That of a database may have a slash.
_USER = r"(?<=://)(?P<{0}user>[^/:@\s]*:)(?P<{0}password>[^{1}?\s]+)(?=@)"
PASSWORD = re.compile(
    rf"(?<!http://)(?<!https://){_USER.format('', '')}|{_USER.format('http_', '/')}"
    r"|(?<=[?&]password=)[^&\s}'\",]+"
)
REFERENCE = re.compile(rf"\$\{{oc\.env:({'|'.join(VARIABLES.values())})\}}")


def without_password(address: str, shown: str = "***") -> str:
    """Returns an address with another text in place of its password."""
    return PASSWORD.sub(lambda match: f"{user_of(match)}{shown}", address)


def user_of(match: re.Match[str]) -> str:
    """Returns the user and the colon before a password that PASSWORD has found; empty in a query."""
    return match["http_user"] or match["user"] or ""


def hide_passwords(arguments: Sequence[str]) -> list[str]:
    """Returns a command's arguments, in which references to variables replace passwords.

    Hydra saves the overrides of each job.
    """
    return [_hidden(argument) for argument in arguments]


def _hidden(argument: str) -> str:
    key = argument.lstrip("+").partition("=")[0]
    within = [name for name in VARIABLES if name.startswith(f"{key}.")]  # as in storage={name:rdb,url:…}
    return with_reference(within[0] if within else key, argument)


def hide_passwords_in(cfg: DictConfig) -> None:
    """Replaces passwords of a configuration, which may come from a file, by references to variables."""
    for key in VARIABLES:
        group, _, name = key.partition(".")
        node = cfg._get_node(group) if group in cfg else None
        if isinstance(node, DictConfig) and not (node._is_none() or node._is_missing()) and name in node:
            value = node._get_node(name)
            text = value._value() if value is not None else None
            if isinstance(text, str) and with_reference(key, text) != text:
                with open_dict(node):
                    node[name] = with_reference(key, text)


def resolved_text(cfg: DictConfig) -> str:
    """Returns a configuration as YAML: its interpolations are resolved, and references replace passwords."""
    plain = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert isinstance(plain, DictConfig)
    hide_passwords_in(plain)
    return PASSWORD.sub(_masked, OmegaConf.to_yaml(plain))  # other keys may repeat an address


def _masked(match: re.Match[str]) -> str:
    """Returns a found password as ***; a reference to its variable stays."""
    user = user_of(match)
    return match[0] if match[0].removeprefix(user).startswith("${") else f"{user}***"


def with_reference(key: str, text: str) -> str:
    """Returns a text in which a reference replaces the password, and keeps the password in its variable.

    Args:
        key: The key of the configuration that holds the text, one of VARIABLES; the text of others stays.
        text: An address, or a command's argument with one.
    """

    def keep(match: re.Match[str]) -> str:
        password = match[0].removeprefix(user_of(match))
        if password.startswith("${"):
            return match[0]
        os.environ[VARIABLES[key]] = password
        return f"{user_of(match)}${{oc.env:{VARIABLES[key]}}}"

    return PASSWORD.sub(keep, text) if key in VARIABLES else text


def without_reference(address: str) -> str:
    """Returns an address with its password in place of the reference of `with_reference`.

    Raises:
        ConfigError: The environment of this process lacks the variable.
    """

    def read(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(
                f"The environment has no {match[1]}, the password of an address. "
                "Let the launcher pass the command's environment on to its jobs."
            )
        return os.environ[match[1]]

    return REFERENCE.sub(read, address)
