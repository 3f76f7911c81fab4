"""What a plugin is told about core, by environment variables that start with PLUGIN_.

Owns reading and checking them, the same for every provider whatever its own
prefix is. Called once, by `serve` or by a provider that talks to core itself. Never shows
a key.

    PLUGIN_CORE_ENDPOINT        host:port of core's gRPC API; empty: no registration
    PLUGIN_KEY, PLUGIN_KEY_FILE API key of scope plugins:register, or a file with it
    PLUGIN_ADVERTISED_ENDPOINT  host:port where core reaches this process; by default
                                where it listens
"""

import difflib
import ipaddress
import pathlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

PREFIX = "PLUGIN_"
CORE_ENDPOINT = "PLUGIN_CORE_ENDPOINT"
KEY_VARIABLE = "PLUGIN_KEY"
KEY_FILE = "PLUGIN_KEY_FILE"
ADVERTISED_ENDPOINT = "PLUGIN_ADVERTISED_ENDPOINT"
VARIABLES = (CORE_ENDPOINT, KEY_VARIABLE, KEY_FILE, ADVERTISED_ENDPOINT)

# As the contract has it for RegisterInstanceRequest.endpoint.
ENDPOINT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
KEY = re.compile(r"[!-~]{1,512}")
KEY_BYTES_MAX = 4_096


class KeyUnreadable(Exception):
    """The file with the key can't be read, yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where core is, and as whom the plugin comes.

    Args:
        core_endpoint: `host:port`; empty if the plugin does not register.
        key: API key; empty with a file, or where core asks for none.
        key_file: Read before every call, so it may be written or replaced at any time.
        advertised_endpoint: `host:port`; empty for where the process listens.
    """

    core_endpoint: str = ""
    key: str = field(default="", repr=False)
    key_file: pathlib.Path | None = None
    advertised_endpoint: str = ""

    def current_key(self) -> str:
        """Returns the key, read anew if it is in a file; empty without one.

        Core may write the file later than this process starts, and may replace it.

        Raises:
            KeyUnreadable: There is no key in the file; what else is in there is not shown.
        """
        path, problem = self.key_file, "not a key"
        if path is None:
            return self.key
        try:
            with path.open("rb") as file:
                key = file.read(KEY_BYTES_MAX).decode("ascii").strip()
            if KEY.fullmatch(key):
                return key
        except OSError as failure:
            problem = failure.strerror or problem
        except UnicodeDecodeError:
            pass
        raise KeyUnreadable(f"{KEY_FILE}: can't read {path} ({problem}); give a readable file")


def load(env: Mapping[str, str], *, host: str) -> Settings:
    """Reads the settings; blanks and line ends around a value are no part of it.

    Args:
        env: The environment.
        host: Where the process is going to listen.

    Raises:
        SystemExit: 2, after every problem was printed to stderr, one per line.
    """
    env = {name: value.strip() for name, value in env.items() if name.startswith(PREFIX)}
    problems = _problems(env, host=host)
    if problems:
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        raise SystemExit(2)
    path = env.get(KEY_FILE, "")
    return Settings(
        core_endpoint=env.get(CORE_ENDPOINT, ""),
        key=env.get(KEY_VARIABLE, ""),
        key_file=pathlib.Path(path) if path else None,
        advertised_endpoint=env.get(ADVERTISED_ENDPOINT, ""),
    )


def _problems(env: Mapping[str, str], *, host: str) -> list[str]:
    if not env.get(CORE_ENDPOINT):
        # Whatever else begins with PLUGIN_ is then somebody else's.
        return []
    problems = [
        f"{name}: must be host:port, for example plugin-1.internal:50061"
        for name in (CORE_ENDPOINT, ADVERTISED_ENDPOINT)
        if env.get(name) and not ENDPOINT.fullmatch(env[name])
    ]
    if env.get(KEY_VARIABLE) and env.get(KEY_FILE):
        problems.append(f"{KEY_FILE}: {KEY_VARIABLE} is set too; keep one of them")
    if env.get(KEY_VARIABLE) and not KEY.fullmatch(env[KEY_VARIABLE]):
        problems.append(f"{KEY_VARIABLE}: not a key; give the text that was shown when it was made")
    if not env.get(ADVERTISED_ENDPOINT) and _is_everywhere(host):
        problems.append(
            f"{ADVERTISED_ENDPOINT}: required, since the process listens at {host}; give "
            "host:port where core reaches this instance"
        )
    for name in sorted(env):
        if name.startswith(PREFIX) and name not in VARIABLES:
            near = difflib.get_close_matches(name, VARIABLES, n=1)
            problems.append(
                f"{name}: unknown variable; "
                + (f"did you mean {near[0]}?" if near else "remove it")
            )
    return problems


def _is_everywhere(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
