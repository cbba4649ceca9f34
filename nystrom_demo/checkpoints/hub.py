"""A checkpoint repository of the Hugging Face Hub, fetched file by file: only what a checkpoint needs, sizes first.

Older repositories hold their weights in torch's own format alone. The Hub's converter offers such a repository
safetensors in a pull request, and those are taken, as transformers takes them.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi, ModelInfo, snapshot_download
from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.file_download import repo_folder_name
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
PICKLE = "pytorch_model.bin"
CONVERTER = "SFconvertbot"  # the Hub's own; a stranger's pull request would be a stranger's weights
MAX_DOWNLOAD_BYTES = 2 * 1024**3
TIMEOUT = 10  # seconds for the Hub to answer a question about a repository or a file
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)


def is_hub_id(source: str) -> bool:
    """True for `name` or `owner/name` as the Hub spells repositories."""
    return bool(_ID.fullmatch(source)) and ".." not in source and "--" not in source


def fetch(repo_id: str, revision: str | None = None, *, pickles: bool = False) -> tuple[Path, Path]:
    """(snapshot folder, folder within which its links lead) of a model repository, from the cache or the Hub.

    Only what a checkpoint needs is fetched, with nobody's credentials. Where the revision has no safetensors, those
    that the Hub's converter offers in a pull request are taken, and failing these, with `pickles`, pytorch_model.bin.
    Where the Hub is switched off (HF_HUB_OFFLINE), the cache alone is looked at. CheckpointError where the repository
    is not there or too large, or the Hub does not answer.
    """
    revision = revision or "main"
    if HF_HUB_OFFLINE:
        return _cached(repo_id, revision, pickles)
    refusal = _refusal(repo_id)
    info = guarded(lambda: _info(repo_id, revision), refusal)
    if not _has_safetensors(info):
        offered = guarded(lambda: _pull_request(repo_id), refusal)
        if offered is not None:
            revision = offered
            info = guarded(lambda: _info(repo_id, revision), refusal)
    patterns = [*ALLOWED_FILES, PICKLE] if pickles and not _has_safetensors(info) else ALLOWED_FILES
    _check_size(info, patterns)
    folder = guarded(lambda: _snapshot(repo_id, revision, patterns), refusal)
    if folder.name != info.sha:
        raise CheckpointError(f"{show(repo_id)} changed while it was fetched, or the Hub went away.")
    return folder, folder.parents[1]


def _cached(repo_id: str, revision: str, pickles: bool) -> tuple[Path, Path]:
    """What an earlier `fetch` left in the cache: the revision, or the pull request that it took in its place."""
    offers = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repo_id, repo_type="model") / "refs" / "refs" / "pr"
    found = None
    for each in (revision, *(f"refs/pr/{offer.name}" for offer in sorted(offers.glob("*")))):
        try:
            found = _snapshot(repo_id, each, ALLOWED_FILES)
        except LocalEntryNotFoundError:
            continue
        if any(found.glob("*.safetensors")) or (pickles and (found / PICKLE).exists()):
            break
    if found is None:
        raise CheckpointError(f"{_refusal(repo_id)}.")
    return found, found.parents[1]


def _snapshot(repo_id: str, revision: str, patterns: Sequence[str]) -> Path:
    options = {"local_files_only": HF_HUB_OFFLINE, "etag_timeout": TIMEOUT, "token": False}
    return Path(snapshot_download(repo_id, revision=revision, allow_patterns=list(patterns), **options))


def _info(repo_id: str, revision: str) -> ModelInfo:
    """The commit that a revision is, and its files."""
    return HfApi(token=False).model_info(repo_id, revision=revision, files_metadata=True, timeout=TIMEOUT)


def _has_safetensors(info: ModelInfo) -> bool:
    return any(file.rfilename.endswith(".safetensors") for file in info.siblings or [])


def _pull_request(repo_id: str) -> str | None:
    """The ref of the open pull request by which the Hub's converter offers safetensors, refs/pr/N, or None."""
    try:
        offers = HfApi(token=False).get_repo_discussions(
            repo_id, author=CONVERTER, discussion_type="pull_request", discussion_status="open"
        )
        return next((f"refs/pr/{offer.num}" for offer in offers if offer.author == CONVERTER), None)
    except HfHubHTTPError:  # a repository may have its discussions switched off
        return None


def _check_size(info: ModelInfo, patterns: Sequence[str]) -> None:
    """CheckpointError where the files to fetch are too large together."""
    files = filter_repo_objects(info.siblings or [], allow_patterns=list(patterns), key=lambda file: file.rfilename)
    size = sum(file.size or 0 for file in files)
    if size > MAX_DOWNLOAD_BYTES:
        raise CheckpointError(f"A checkpoint may have at most {MAX_DOWNLOAD_BYTES:,} bytes of files, got {size:,}.")


def _refusal(repo_id: str) -> str:
    return f"{show(repo_id)} could not be fetched from the Hub"
