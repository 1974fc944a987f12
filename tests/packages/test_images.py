"""The pictures of the README are what their script draws now, from the figures and the output of now."""

import subprocess
import sys

from languages import ROOT


def test_pictures_are_up_to_date():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "draw_images.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
