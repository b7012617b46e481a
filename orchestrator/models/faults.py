"""What can be wrong with a model file, in words, and what to do about it."""

from __future__ import annotations

from enum import StrEnum

AGAIN = "Download it again; `orchestrator models pull` lists what it can fetch."
OTHER = "Put it back, or take it away, so that no server offers it."


class Fault(StrEnum):
    """Why a file cannot be loaded as what its name says."""

    EMPTY = "empty"
    UNREADABLE = "unreadable"
    NOT_A_FILE = "not_a_file"
    PARTIAL_DOWNLOAD = "partial_download"
    WEB_PAGE = "web_page"
    LFS_POINTER = "lfs_pointer"
    RENAMED_ARCHIVE = "renamed_archive"
    RENAMED_PICKLE = "renamed_pickle"
    RENAMED_GGUF = "renamed_gguf"
    RENAMED_SAFETENSORS = "renamed_safetensors"
    HEADER_LENGTH = "header_length"
    HEADER_NOT_JSON = "header_not_json"
    HEADER_INVALID = "header_invalid"
    NO_TENSORS = "no_tensors"
    DUPLICATE_TENSOR = "duplicate_tensor"
    UNKNOWN_DTYPE = "unknown_dtype"
    SHAPE_MISMATCH = "shape_mismatch"
    OVERLAP = "overlap"
    HOLE = "hole"
    TRUNCATED = "truncated"
    TRAILING_BYTES = "trailing_bytes"
    MISSING_TENSORS = "missing_tensors"
    BAD_ARCHIVE = "bad_archive"
    NOT_A_MODEL = "not_a_model"
    HASH_MISMATCH = "hash_mismatch"

    @property
    def sentence(self) -> str:
        """What is wrong."""
        return _WORDS[self][0]

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _WORDS[self][1]

    @property
    def is_damage(self) -> bool:
        """Whether no server can load the file; one that only this user may not read can be whole."""
        return self is not Fault.UNREADABLE


class Note(StrEnum):
    """What is worth knowing of a file that is not damaged."""

    CAN_CARRY_CODE = "can_carry_code"
    DIFFUSION_MODEL_ONLY = "diffusion_model_only"
    NO_TEXT_ENCODER = "no_text_encoder"
    NO_VAE = "no_vae"
    SHARD = "shard"
    NEEDS_CUSTOM_NODE = "needs_custom_node"

    @property
    def sentence(self) -> str:
        """The note, in words."""
        return _NOTES[self]


_WORDS: dict[Fault, tuple[str, str]] = {
    Fault.EMPTY: ("The file is empty", AGAIN),
    Fault.UNREADABLE: ("The file cannot be read", "Correct its permissions, or its disk."),
    Fault.NOT_A_FILE: ("This is no plain file", OTHER),
    Fault.PARTIAL_DOWNLOAD: (
        "The download of this file never finished",
        "Let the program that downloads it finish, or " + AGAIN[0].lower() + AGAIN[1:],
    ),
    Fault.WEB_PAGE: (
        "This is a web page or an error message that was saved under the model's name",
        "Download it again with a token, after its licence is accepted on its page: "
        "the site answered with a page instead of the file.",
    ),
    Fault.LFS_POINTER: (
        "This is a Git LFS pointer of some hundred bytes, not the model",
        "Run `git lfs pull` in its repository, or " + AGAIN[0].lower() + AGAIN[1:],
    ),
    Fault.RENAMED_ARCHIVE: (
        "This is a zip archive, most likely a PyTorch checkpoint, under the name of a safetensors file",
        "Do not rename it unless you trust its author: it can carry code. Get the safetensors version.",
    ),
    Fault.RENAMED_PICKLE: (
        "This is a pickle under the name of a safetensors file",
        "Do not rename it unless you trust its author: it can carry code. Get the safetensors version.",
    ),
    Fault.RENAMED_GGUF: (
        "This is a GGUF file under another name",
        "Give it the ending .gguf; ComfyUI needs a custom node to load it.",
    ),
    Fault.RENAMED_SAFETENSORS: (
        "This is a safetensors file under the name of a pickle, which ComfyUI cannot load",
        "Give it the ending .safetensors.",
    ),
    Fault.HEADER_LENGTH: (
        "The header's length makes no sense: the beginning of the file is damaged",
        AGAIN,
    ),
    Fault.HEADER_NOT_JSON: ("The header is garbage, not JSON", AGAIN),
    Fault.HEADER_INVALID: ("The header does not describe tensors as the format says", AGAIN),
    Fault.NO_TENSORS: ("The file holds no tensors", AGAIN),
    Fault.DUPLICATE_TENSOR: ("The header names a tensor twice", AGAIN),
    Fault.UNKNOWN_DTYPE: (
        "The header has a number type that the format does not know",
        "Update ComfyUI and its safetensors package, or download the file again.",
    ),
    Fault.SHAPE_MISMATCH: ("A tensor's shape does not fit the bytes it is given", AGAIN),
    Fault.OVERLAP: ("Tensors overlap", AGAIN),
    Fault.HOLE: ("There are bytes that belong to no tensor", AGAIN),
    Fault.TRUNCATED: ("The file is cut off", AGAIN),
    Fault.TRAILING_BYTES: ("The file goes on after its last tensor", AGAIN),
    Fault.MISSING_TENSORS: ("Tensors are missing that every model of this family has", AGAIN),
    Fault.BAD_ARCHIVE: ("The PyTorch archive is damaged or cut off", AGAIN),
    Fault.NOT_A_MODEL: ("The content is nothing that such a file can hold", AGAIN),
    Fault.HASH_MISMATCH: (
        "The SHA-256 is not the one that was published for this file",
        "Download it again; if it is meant to be another model, give it another name.",
    ),
}

_NOTES = {
    Note.CAN_CARRY_CODE: "a pickle: it can carry code; prefer a safetensors version",
    Note.DIFFUSION_MODEL_ONLY: "diffusion model only: needs a text encoder and a VAE beside it",
    Note.NO_TEXT_ENCODER: "has no text encoder: needs one beside it",
    Note.NO_VAE: "has no VAE: needs one beside it",
    Note.SHARD: "one part of several",
    Note.NEEDS_CUSTOM_NODE: "GGUF: ComfyUI needs a custom node to load it",
}
