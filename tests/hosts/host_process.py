"""The process behind support.Host: one connection, questions as JSON lines on stdin.

`{"sql": ..., "arguments": [...]}` is answered by `{"value": first column of the first row}` or
`{"error": message}`; `{"set": variable, "to": text or null}` changes the environment.
"""

import json
import os
import sys

import apsw
from support import connect


def answer(connection, question):
    if "set" in question:
        if question["to"] is None:
            os.environ.pop(question["set"], None)
        else:
            os.environ[question["set"]] = question["to"]
        return {}
    try:
        return {"value": connection.execute(question["sql"], question["arguments"]).get}
    except apsw.Error as error:
        return {"error": str(error)}


def main():
    connection = connect(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(answer(connection, json.loads(line))), flush=True)


main()
