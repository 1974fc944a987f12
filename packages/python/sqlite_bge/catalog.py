"""The models that are known by name: catalog.json, which the extension itself has compiled in."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_MODEL = "bge-small-en-v1.5"

# The engine does without these files of a model; all others that the catalogue lists it needs.
OPTIONAL = ("tokenizer_config.json", "1_Pooling/config.json")


class CatalogError(Exception):
    """The catalogue cannot be read, or has no such model."""


def catalog_path() -> Path:
    """In the wheel it lies beside this file; in the source tree the engine owns it."""
    packed = HERE / "catalog.json"
    return packed if packed.is_file() else HERE.parents[2] / "src" / "engine" / "catalog.json"


def models(path: Path | str | None = None) -> list[dict]:
    """The entries: name, dims, max_length, hub, revision, files {name: SHA-256 or None}, perhaps maven."""
    path = path or catalog_path()
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))["models"]
    except OSError as error:
        raise CatalogError(f"the catalogue {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogError(f'the catalogue {path} is no JSON object with a list "models": {error}') from error


def find_model(name: str, path: Path | str | None = None) -> dict:
    """The entry of a name. Raises CatalogError, which lists the names there are."""
    known = models(path)
    for model in known:
        if model["name"] == name:
            return model
    raise CatalogError(f"'{name}' is not in the catalogue; it has: " + ", ".join(m["name"] for m in known))
