"""Finding the library in the package, and loading it into a connection of any SQLite module."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as typing's, without the time that importing typing takes
if TYPE_CHECKING:
    from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARIES = {"darwin": "libbge.dylib", "win32": "bge.dll"}
ENTRY_POINT = "sqlite3_bge_init"
RESTRICTED_ENTRY_POINT = "sqlite3_bge_readonly_init"
GPU_PROVIDER = "libonnxruntime_providers_cuda.so"


class LoadingUnavailable(RuntimeError):
    """This Python's SQLite module cannot load any extension."""


class LoadingFailed(RuntimeError):
    """The library is not there, is for another kind of machine, or refused to load."""


def loadable_path() -> str:
    """The absolute path of the library, for hosts that want a path: `.load PATH`, `--load-extension PATH`.

    Raises LoadingFailed when the package carries no library for this operating system.
    """
    path = os.path.join(HERE, LIBRARIES.get(sys.platform, "libbge.so"))
    if not os.path.isfile(path):
        raise LoadingFailed(
            f"{path} is not there: this installation of sqlite-bge is for {_platform_of_the_wheel()}, and this is "
            f"{_this_platform()}; install the wheel for this machine, or build one with `make packages`")
    return path


def load(connection: Any, readonly: bool = False) -> None:
    """Registers the functions and tables of sqlite-bge on a connection.

    `connection` is one of sqlite3, pysqlite3 or apsw. `readonly=True` takes the restricted entry
    point, for connections that run other people's SQL: it registers only what reads, so no
    `bge_load`, `bge_unload` or `bge_sync`. Whether other extensions may be loaded is left as it was
    found. Loading twice does no harm. No model is opened, and none is downloaded.

    Raises LoadingUnavailable where this Python cannot load extensions, LoadingFailed where the
    library cannot be loaded, TypeError for something that is no connection.
    """
    if not hasattr(connection, "execute"):
        raise TypeError(f"load() got {type(connection).__name__}, expected a connection of sqlite3, pysqlite3 or apsw")
    if not hasattr(connection, "enable_load_extension"):
        raise LoadingUnavailable(why_unavailable(connection))
    _prefer_gpu_runtime()
    entry_point = RESTRICTED_ENTRY_POINT if readonly else ENTRY_POINT
    if _load_where_enabled(connection, entry_point):
        return
    connection.enable_load_extension(True)
    try:
        if not _load_where_enabled(connection, entry_point):
            raise LoadingFailed("SQLite refuses load_extension() although it was enabled: an authorizer forbids it")
    finally:
        connection.enable_load_extension(False)


def _load_where_enabled(connection: Any, entry_point: str) -> bool:
    """False where loading is not enabled, which no older Python can be asked directly.

    The SQL function is the one way to name an entry point that every SQLite module has."""
    path = loadable_path()
    try:
        connection.execute("SELECT load_extension(?, ?)", (path, entry_point)).fetchall()
    except Exception as error:  # each module has exceptions of its own
        said = str(error)
        if "not authorized" in said:
            return False
        if "no such function: load_extension" in said:
            raise LoadingUnavailable(why_unavailable(connection)) from error
        raise LoadingFailed(
            f"SQLite could not load {path}: {said}; this installation of sqlite-bge is for "
            f"{_platform_of_the_wheel()}, and this is {_this_platform()}") from error
    return True


def why_unavailable(connection: Any) -> str:
    """The message of LoadingUnavailable: what is missing, and the ways out."""
    module = type(connection).__module__.split(".")[0]
    return (
        f"the {module} module of this Python ({sys.executable}) cannot load extensions: it was built without "
        "--enable-loadable-sqlite-extensions, as those of pyenv and macOS are. Ways out: "
        "`pip install pysqlite3-binary` and `import pysqlite3 as sqlite3`; or `pip install apsw`; or another Python: "
        "Debian's, Homebrew's, conda's, uv's, or pyenv's with "
        "PYTHON_CONFIGURE_OPTS=--enable-loadable-sqlite-extensions")


def _prefer_gpu_runtime() -> None:
    """Names the runtime of `onnxruntime-gpu` (the extra `gpu`) where that is installed beside us.

    The library itself takes the runtime beside it first, which in this package is the one for CPUs."""
    if os.environ.get("BGE_ORT_LIB"):
        return
    folder = os.path.join(os.path.dirname(HERE), "onnxruntime", "capi")
    if not os.path.isfile(os.path.join(folder, GPU_PROVIDER)):
        return
    runtimes = sorted(name for name in os.listdir(folder) if name.startswith("libonnxruntime.so"))
    if runtimes:
        os.environ["BGE_ORT_LIB"] = os.path.join(folder, runtimes[-1])


def _platform_of_the_wheel() -> str:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        record = distribution("sqlite-bge").read_text("WHEEL") or ""
    except PackageNotFoundError:
        record = ""
    tags = [line.split("-")[-1] for line in record.splitlines() if line.startswith("Tag:")]
    return ", ".join(tags) or "no known platform"


def _this_platform() -> str:
    import platform

    libc = " ".join(platform.libc_ver()).strip() if sys.platform == "linux" else ""
    return " ".join(part for part in (platform.system(), platform.machine(), libc) if part)
