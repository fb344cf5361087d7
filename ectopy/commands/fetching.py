"""`ectopy models fetch`: a gated file from its hub with the user's own token, or what to do."""

from __future__ import annotations

from pathlib import Path

from services.errors import NotFound, NotPermitted, Unavailable

INSTALL = "pip install 'ectopy[fetch]'"


def fetched(repository: str, file: str) -> Path:
    """The file in the hub's own cache on this machine.

    Raises Unavailable where huggingface_hub or the network is not there, NotPermitted without
    access, NotFound for another name; each says what to do.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            EntryNotFoundError,
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ModuleNotFoundError as problem:
        raise Unavailable(
            f"huggingface_hub is not installed: {INSTALL}. {_by_hand(repository, file)}"
        ) from problem
    try:
        return Path(hf_hub_download(repo_id=repository, filename=file))
    except GatedRepoError as problem:  # a kind of RepositoryNotFoundError: first
        raise NotPermitted(
            f"{repository} is gated: ask for access on https://huggingface.co/{repository}, then "
            "set HF_TOKEN to a token of yours (or run `hf auth login`) and try again"
        ) from problem
    except LocalEntryNotFoundError as problem:  # a kind of EntryNotFoundError: first
        raise Unavailable(
            f"the hub cannot be reached from here. {_by_hand(repository, file)}"
        ) from problem
    except (RepositoryNotFoundError, EntryNotFoundError) as problem:
        raise NotFound(
            f"the hub has no {file} in {repository} that your token may see: set HF_TOKEN (or run "
            "`hf auth login`), and check the name"
        ) from problem
    except (HfHubHTTPError, OSError) as problem:
        raise Unavailable(
            f"the download failed ({type(problem).__name__}). {_by_hand(repository, file)}"
        ) from problem


def _by_hand(repository: str, file: str) -> str:
    return (
        f"On a machine with a network: open https://huggingface.co/{repository}, ask for access, "
        f"download {file}; then run `ectopy models import {file}` here"
    )
