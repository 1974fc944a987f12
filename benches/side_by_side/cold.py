"""The first vector of a new process, as a script would make it: `PYTHON cold.py SIDE PLACES TEXT`."""

import json
import sys

import sides

vector = sides.make(sys.argv[1], json.loads(sys.argv[2])).one(sys.argv[3])
print("first row", len(vector), flush=True)
