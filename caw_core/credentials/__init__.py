"""Using this machine's logins in containers, without copying them.

What each agent keeps where is the providers' to say (the hook ``container_credentials``). A file
that holds a login is mounted as it is, a variable is passed on by its name alone, and what caw
makes for a container holds no secret, unless the caller asks for a copy::

    from caw_core import credentials

    credentials.setup(["codex"])
    subprocess.run(["docker", "run", *credentials.docker_flags(["codex"]), "my-image"])
    credentials.teardown()
"""

from __future__ import annotations

from caw_core.credentials.declared import ContainerCredentials, CredentialFile
from caw_core.credentials.docker import docker_flags, docker_flags_async
from caw_core.credentials.places import credentials_folder
from caw_core.credentials.setting_up import Prepared, setup, setup_async
from caw_core.credentials.status import CredentialStatus, status, status_async
from caw_core.credentials.taking_away import Removed, teardown, teardown_async

__all__ = [
    "ContainerCredentials",
    "CredentialFile",
    "CredentialStatus",
    "Prepared",
    "Removed",
    "credentials_folder",
    "docker_flags",
    "docker_flags_async",
    "setup",
    "setup_async",
    "status",
    "status_async",
    "teardown",
    "teardown_async",
]
