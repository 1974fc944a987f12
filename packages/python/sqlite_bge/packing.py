"""Keeping a model's packed weights beside it, so that processes map them instead of packing them at each load.

What cannot be packed (another kind of model, a CPU without AVX2, a folder that cannot be written) is used as
it is: it only loads more slowly.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from .connecting import open_database
from .fetching import say


def pack(folder: Path | str) -> bool:
    """Packs the weights of the model in a folder, and says what became of it. True: they are packed."""
    folder = os.path.abspath(folder)
    options = json.dumps({"encoder": "native", "graph_cache": folder})
    try:
        connection = open_database()
        connection.execute("SELECT bge_load('packed', ?, ?)", (folder, options))
        [info] = connection.execute("SELECT bge_info()").fetchone()
        connection.execute("SELECT bge_unload('packed')")
    except Exception as error:  # whatever stands in the way, the model is there and works
        say(f"its weights are not packed: {error}")
        return False
    state = next(model["graph_cache"] for model in json.loads(info)["loaded"] if model["name"] == "packed")
    if state == "hit" or state.startswith("written"):
        say("its weights are packed for this CPU")
        return True
    say(f"its weights are not packed: {state}")
    return False
