"""The first source of a model: the Hugging Face hub, asked by huggingface_hub.

That library resumes, retries, locks, shows progress and knows HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE
and the other HF_ variables. What is added here: a plain answer within seconds where the hub cannot be
reached at all, and its many exceptions as one.
"""

from __future__ import annotations

import http.client
import os
import queue
import shutil
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .fetching import SourceFailed, say, writing


def fetch(model: dict, folder: Path | None, timeout: float, force: bool = False) -> Path:
    """Brings the model's files into `folder`, or into the user's Hugging Face cache where that is None.

    Returns the folder that has them. `timeout` is in seconds: how long the hub may take to answer at
    all. Raises SourceFailed. Nothing is verified here.
    """
    try:
        from huggingface_hub import constants, snapshot_download
    except ImportError:
        raise SourceFailed("the hub was not asked: Python's huggingface_hub is not here") from None
    if constants.HF_HUB_OFFLINE:
        say("HF_HUB_OFFLINE is set: the hub is not asked")
    else:
        _check_answers(constants.ENDPOINT, timeout)
        say(f"getting {model['name']} from {constants.ENDPOINT}/{model['hub']}")
    options = {} if folder is None else {"local_dir": folder}
    try:
        found = Path(_interruptible(lambda: snapshot_download(
            model["hub"], revision=model["revision"], allow_patterns=list(model["files"]), etag_timeout=timeout,
            force_download=force, library_name="sqlite-bge", max_workers=4, **options)))
    except Exception as error:
        # Its transport's exceptions belong to libraries that come and go (httpx, hf_xet), so they are
        # not told apart by name. What the disk refused has a number; "not in the cache" has none.
        if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
            with writing(folder or constants.HF_HUB_CACHE):
                raise
        raise SourceFailed(f"the hub did not give {model['name']}: {_first_lines(error)}") from error
    if folder is not None:
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # its notes for a next run, which has none here
    return found


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids asking the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _first_lines(error: BaseException) -> str:
    """What it says and what was behind it: the hub's own answer is often only there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(lines[:2]) or type(error).__name__
    return f"{said} ({_first_lines(error.__cause__)})" if error.__cause__ else said


def _interruptible(call: Callable[[], Any], seconds: float | None = None) -> Any:
    """What `call` returns or raises, or TimeoutError after `seconds`.

    It runs on a thread of its own. snapshot_download waits for its downloads before it lets a signal
    through; and a socket's own timeout is one for each address of a host, and does not count looking the
    name up, so where a firewall swallows everything, those add up to minutes."""
    answer: queue.Queue = queue.Queue()

    def work() -> None:
        try:
            answer.put((call(), None))
        except BaseException as error:
            answer.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        result, error = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return result


def _check_answers(endpoint: str, timeout: float) -> None:
    """huggingface_hub tries five times over 23 seconds before it says that a host is unknown."""
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SourceFailed(f"HF_ENDPOINT is '{endpoint}', it must start with https:// or http:// and name a host")
    request = urllib.request.Request(endpoint, method="HEAD", headers={"User-Agent": "sqlite-bge"})
    try:
        _interruptible(lambda: urllib.request.urlopen(request, timeout=timeout).close(), timeout)
    except urllib.error.HTTPError:
        pass  # an answer
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        said = getattr(reason, "strerror", None) or reason
        raise SourceFailed(f"the hub {endpoint} cannot be reached ({said})") from error
