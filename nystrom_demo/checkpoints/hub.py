"""A checkpoint repository of the Hugging Face Hub, fetched file by file: safetensors and JSON only, sizes first."""

import re
from pathlib import Path

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
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)


def is_hub_id(source: str) -> bool:
    """True for `name` or `owner/name` as the Hub spells repositories."""
    return bool(_ID.fullmatch(source)) and ".." not in source and "--" not in source


def fetch(repo_id: str, revision: str | None = None) -> tuple[Path, Path]:
    """(snapshot folder, folder within which its links lead) of a model repository, from the cache or the Hub.

    Only what a checkpoint needs is fetched, at one commit. CheckpointError where the repository is not there or too
    large, or the Hub does not answer.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import filter_repo_objects

    refusal = f"{show(repo_id)} could not be fetched from the Hub"
    try:
        info = HfApi().model_info(repo_id, revision=revision, files_metadata=True, timeout=10)
    except OfflineModeIsEnabled:
        folder = guarded(lambda: snapshot_download(repo_id, revision=revision, local_files_only=True), refusal)
        return Path(folder), Path(folder).parents[1]
    except Exception as error:  # a host's network has many ways to fail, all of which mean the same to a visitor
        raise CheckpointError(f"{refusal}.") from error
    files = filter_repo_objects(info.siblings, allow_patterns=ALLOWED_FILES, key=lambda file: file.rfilename)
    size = sum(file.size or 0 for file in files)
    if size > MAX_DOWNLOAD_BYTES:
        raise CheckpointError(f"A checkpoint may have at most {MAX_DOWNLOAD_BYTES:,} bytes of files, got {size:,}.")
    folder = guarded(
        lambda: snapshot_download(repo_id, revision=info.sha, allow_patterns=ALLOWED_FILES, etag_timeout=10), refusal
    )
    return Path(folder), Path(folder).parents[1]
