"""Fixtures for the tests of the set-up scripts: a fake hub, a tiny catalogue, a fake Maven."""

import json
import zipfile

import pytest
from setup_fakes import FILES, REVISION, FakeHub, Scripts, executable, sha256


@pytest.fixture
def start_hub():
    hubs = []

    def start():
        hubs.append(FakeHub())
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.stop()


@pytest.fixture
def hub(start_hub):
    return start_hub()


@pytest.fixture
def bin(tmp_path):
    """A folder that is first in the scripts' PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def scripts(tmp_path, bin, hub):
    """The scripts, with the fake hub as HF_ENDPOINT and a catalogue of three: `tiny` has hashes,
    `tiny-jar` has a Maven artifact as well, `tiny-bare` has neither."""
    made = Scripts(tmp_path, bin)
    made.env["HF_ENDPOINT"] = hub.url
    hashes = {"tokenizer.json", "onnx/model.onnx"}
    files = {file: sha256(content) if file in hashes else None for file, content in FILES.items()}
    maven = {"artifact": "org.example:tiny-model:1.2", "write": {"config.json": {"hidden_size": 4}},
             "files": {"onnx/model.onnx": "tiny.onnx", "tokenizer.json": "tiny-tokenizer.json"}}
    models = [{"name": "tiny", "hub": "BAAI/tiny", "revision": REVISION, "files": files},
              {"name": "tiny-jar", "hub": "BAAI/tiny", "revision": REVISION, "files": files, "maven": maven},
              {"name": "tiny-bare", "hub": "BAAI/tiny", "revision": "main", "files": dict.fromkeys(FILES)}]
    made.catalog.write_text(json.dumps({"models": models}))
    return made


@pytest.fixture
def maven(tmp_path, bin):
    """A Maven that copies tmp/tiny.jar to where it is told; its arguments are in tmp/mvn-args."""
    with zipfile.ZipFile(tmp_path / "tiny.jar", "w", zipfile.ZIP_DEFLATED) as jar:
        jar.writestr("tiny.onnx", FILES["onnx/model.onnx"])
        jar.writestr("tiny-tokenizer.json", FILES["tokenizer.json"])
    executable(bin / "java", "#!/bin/sh\n")
    executable(bin / "mvn", f"""#!/bin/sh
        echo "$@" >> {tmp_path}/mvn-args
        for word; do case $word in -DoutputDirectory=*) cp {tmp_path}/tiny.jar "${{word#*=}}/tiny-model-1.2.jar" ;; esac; done
        """)
    return tmp_path / "mvn-args"
