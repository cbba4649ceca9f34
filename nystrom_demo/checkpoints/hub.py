"""A checkpoint repository of the Hugging Face Hub, fetched file by file: safetensors and JSON only, sizes first."""

import re
from pathlib import Path

from huggingface_hub import HfApi, ModelInfo, snapshot_download
from huggingface_hub.constants import HF_HUB_OFFLINE
from huggingface_hub.utils import filter_repo_objects

from nystrom_demo.checkpoints.files import CheckpointError, show
from nystrom_demo.checkpoints.tokenizer_files import guarded

ALLOWED_FILES = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
MAX_DOWNLOAD_BYTES = 2 * 1024**3
TIMEOUT = 10  # seconds for the Hub to answer a question about a repository or a file
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)


def is_hub_id(source: str) -> bool:
    """True for `name` or `owner/name` as the Hub spells repositories."""
    return bool(_ID.fullmatch(source)) and ".." not in source and "--" not in source


def fetch(repo_id: str, revision: str | None = None) -> tuple[Path, Path]:
    """(snapshot folder, folder within which its links lead) of a model repository, from the cache or the Hub.

    Only what a checkpoint needs is fetched, with nobody's credentials. Where the Hub is switched off (HF_HUB_OFFLINE),
    the cache alone is looked at. CheckpointError where the repository is not there or too large, or the Hub does not
    answer.
    """
    revision = revision or "main"
    info = None if HF_HUB_OFFLINE else guarded(lambda: _info(repo_id, revision), _refusal(repo_id))
    folder = guarded(
        lambda: snapshot_download(
            repo_id,
            revision=revision,
            allow_patterns=ALLOWED_FILES,
            local_files_only=info is None,
            etag_timeout=TIMEOUT,
            token=False,
        ),
        _refusal(repo_id),
    )
    folder = Path(folder)
    if info is not None and folder.name != info.sha:
        raise CheckpointError(f"{show(repo_id)} changed while it was fetched, or the Hub went away.")
    return folder, folder.parents[1]


def _info(repo_id: str, revision: str) -> ModelInfo:
    """The repository's commit and files; CheckpointError where the files to fetch are too large together."""
    info = HfApi(token=False).model_info(repo_id, revision=revision, files_metadata=True, timeout=TIMEOUT)
    files = filter_repo_objects(info.siblings or [], allow_patterns=ALLOWED_FILES, key=lambda file: file.rfilename)
    size = sum(file.size or 0 for file in files)
    if size > MAX_DOWNLOAD_BYTES:
        raise CheckpointError(f"A checkpoint may have at most {MAX_DOWNLOAD_BYTES:,} bytes of files, got {size:,}.")
    return info


def _refusal(repo_id: str) -> str:
    return f"{show(repo_id)} could not be fetched from the Hub"
