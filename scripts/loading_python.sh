#!/usr/bin/env bash
# Prints the path of a Python 3.9 or newer that has venv and whose sqlite3 loads extensions; fails where
# there is none. pyenv's Pythons, often first in PATH, load none.
for python in $(type -ap python3) /usr/bin/python3 /usr/local/bin/python3; do
    [ -x "$python" ] && "$python" -c '
import ensurepip, sqlite3, sys, venv
sys.exit(sys.version_info < (3, 9) or not hasattr(sqlite3.Connection, "enable_load_extension"))
' 2>/dev/null && echo "$python" && exit 0
done
exit 1
