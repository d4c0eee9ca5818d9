"""Jobs on a Ray cluster: ship this repository as the working directory, start a command there, follow its log.

A submission uploads the repository (a few MB) once per version of it. The cluster's machines need the environment
of locks/ already, usually as an image; only the code travels.
"""

from __future__ import annotations

import asyncio
import shlex
import socket
import sys
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

from cluster.errors import UserError
from cluster.session import EXCLUDES, REPOSITORY, prepare_environment

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ANSWER_SECONDS = 10.0  # to open a connection; a wrong address should not hang for the system's two minutes


def submit(address: str, arguments: list[str], *, wait: bool = True, output: TextIO | None = None) -> str:
    """Start `gaokerena ARGUMENTS` on a cluster; the job's id. With `wait`, follow its log until it ends.

    `address`: http://head:8265 (the job server), or host:port or ray://host:port of the cluster itself.
    Raises UserError when nothing answers there, when the cluster refuses the token, and when a job that was
    waited for did not succeed.
    """
    client = _client(address)
    job = client.submit_job(
        entrypoint=shlex.join(["python", "-m", "pipelines.cli", *arguments]),
        runtime_env={"working_dir": str(REPOSITORY), "excludes": list(EXCLUDES)},
    )
    out = output or sys.stdout
    print(f"job {job} on {client.get_address()}", file=out, flush=True)
    if wait:
        asyncio.run(_follow(client, job, out))
        _check_success(client, job)
    return job


def _client(address: str) -> JobSubmissionClient:
    prepare_environment()  # before Ray is imported: it decides about tokens then
    _check_answer(address)
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise UserError(f"the cluster at {address} wants a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN") from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"no Ray job server at {address}: {error}") from error


def _check_answer(address: str) -> None:
    """Ray waits long for a machine that is not there; one connection tells at once."""
    if address == "auto":
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port or {"http": 80, "https": 443, "ray": 10001}[parts.scheme]
        socket.create_connection((parts.hostname or "", port), timeout=ANSWER_SECONDS).close()
    except (KeyError, ValueError):
        raise UserError(f"{address!r} is not the address of a Ray cluster; write it as http://head:8265") from None
    except OSError as error:
        raise UserError(f"no Ray cluster answers at {address} ({error}); is it running, and reachable from here?") from error


async def _follow(client: JobSubmissionClient, job: str, out: TextIO) -> None:
    async for lines in client.tail_job_logs(job):
        out.write(lines)
        out.flush()


def _check_success(client: JobSubmissionClient, job: str) -> None:
    details = client.get_job_info(job)
    if str(details.status) != "SUCCEEDED":
        raise UserError(f"job {job} ended as {details.status}: {details.message or 'see its log above'}")
