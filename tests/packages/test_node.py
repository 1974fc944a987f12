"""The npm packages: what an application sees that has installed the tarballs."""

import json
import re
import shutil

import pytest
from languages import ROOT, check_example, output, run
from node_app import ARCH, TARBALLS, VERSION, app, hosts, new_node  # noqa: F401 (fixtures)

LOAD = "require('sqlite-bge').load"


@pytest.fixture
def other_app(app, tmp_path):  # noqa: F811
    """A copy of the folder, to be broken. Without what it has borrowed: npm would follow the links and
    remove what is at their ends."""
    shutil.copytree(app.folder, tmp_path / "app", symlinks=True)
    for path in (tmp_path / "app" / "node_modules").iterdir():
        if path.is_symlink():
            path.unlink()
    return type(app)(tmp_path / "app", app.home)


def test_node_sqlite(app, new_node):  # noqa: F811
    check_example([new_node, "node-sqlite.mjs"], app.env(), app.folder)


def test_better_sqlite3(app, hosts, new_node):  # noqa: F811
    """Its release 13 brings libraries that are compiled already, for Node 22 or later."""
    app.borrow("better-sqlite3", hosts)
    check_example([new_node, "better-sqlite3.mjs"], app.env(), app.folder)


def test_bun(app, hosts):  # noqa: F811
    bun = hosts / "@oven" / f"bun-linux-{ARCH.replace('arm', 'aarch')}" / "bin" / "bun"
    check_example([bun, "bun.ts"], app.env(), app.folder)


def test_libsql(app, hosts):  # noqa: F811
    app.borrow("libsql", hosts)
    check_example(["node", "libsql.mjs"], app.env(), app.folder)


def test_the_example_of_the_package_s_readme(app, new_node):  # noqa: F811
    readme = (app.folder / "node_modules" / "sqlite-bge" / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```js\n(.*?)```", readme, re.DOTALL)
    (app.folder / "readme.mjs").write_text(code)
    expected = re.findall(r"console\.log\(.*\); +// (.*)", code)
    assert output([new_node, "readme.mjs"], env=app.env(), cwd=app.folder).splitlines() == expected == ["Router 0.61"]


def test_both_kinds_of_modules_give_the_same_library(app):  # noqa: F811
    commonjs = app.node("console.log(require('sqlite-bge').getLoadablePath())").stdout
    module = run(["node", "--input-type=module", "-e", "import { getLoadablePath, load } from 'sqlite-bge';"
                  "console.log(getLoadablePath())"], env=app.env(), cwd=app.folder).stdout
    command = app.command("path").stdout
    assert commonjs == module == command == f"{app.folder}/node_modules/sqlite-bge-linux-{ARCH}/libbge.so\n"


def test_types(app, hosts):  # noqa: F811
    """A user's program in TypeScript, as a module and as CommonJS, with the types of two hosts."""
    for package in ("@types", "undici-types", "better-sqlite3"):
        app.borrow(package, hosts)
    program = """
        import { DatabaseSync } from 'node:sqlite';
        import Better from 'better-sqlite3';
        import { getLoadablePath, load } from 'sqlite-bge';
        load(new DatabaseSync(':memory:', { allowExtension: true }));
        load(new Better(':memory:'));
        const path: string = getLoadablePath();
        // @ts-expect-error a connection is wanted, not a path
        load(path);
    """
    for name in ("typed.mts", "typed.cts"):
        (app.folder / name).write_text(program)
    compiler = hosts / "typescript" / "bin" / "tsc"
    output([compiler, "--noEmit", "--strict", "--module", "nodenext", "--types", "node", "--esModuleInterop",
            "typed.mts", "typed.cts"], env=app.env(), cwd=app.folder)


def test_the_two_type_files_are_one():
    folder = ROOT / "packages" / "node" / "sqlite-bge"
    assert (folder / "index.d.mts").read_bytes() == (folder / "index.d.cts").read_bytes()


def test_what_is_in_the_tarballs(app):  # noqa: F811
    main, library = app.folder / "node_modules" / "sqlite-bge", app.folder / "node_modules" / f"sqlite-bge-linux-{ARCH}"
    assert json.loads((main / "catalog.json").read_text()) == json.loads(
        (ROOT / "src" / "engine" / "catalog.json").read_text())
    assert json.loads((library / "bge-install.json").read_text()) == {"download": "npx sqlite-bge download"}
    for package in (main, library):
        assert json.loads((package / "package.json").read_text())["version"] == VERSION
        assert {"LICENSE-MIT", "LICENSE-APACHE"} <= {path.name for path in package.iterdir()}
    assert (library / "licenses" / "onnxruntime" / "LICENSE").is_file()
    assert app.command("--version").stdout == f"{VERSION}\n"


def test_npm_uninstall_leaves_nothing(other_app):
    output(["npm", "uninstall", "--no-save", "--ignore-scripts", "sqlite-bge", f"sqlite-bge-linux-{ARCH}"],
           env=other_app.env(), cwd=other_app.folder)
    left = [path.name for path in (other_app.folder / "node_modules").rglob("*bge*")]
    assert left == []


def test_the_locks_name_no_place_to_download_from():
    locks = list((ROOT / "tests" / "packages").rglob("package-lock.json"))
    assert len(locks) >= 2
    for lock in locks:
        assert "://" not in lock.read_text(), lock


# --- what goes wrong --------------------------------------------------------------------------------


def test_a_connection_that_may_not_load_extensions(app, new_node):  # noqa: F811
    message = app.error(f"{LOAD}(new (require('node:sqlite').DatabaseSync)(':memory:'))", new_node)
    assert "extension loading is not allowed" in message
    assert "new DatabaseSync(file, { allowExtension: true })" in message


@pytest.mark.parametrize("argument, shown", [("undefined", "undefined"), ("null", "null"), ("'file.db'", "file.db"),
                                             ("{}", "an object of class Object"), ("42", "42")])
def test_what_is_no_connection(app, argument, shown):  # noqa: F811
    message = app.error(f"{LOAD}({argument})")
    assert message.startswith(f"load() got {shown}, expected an open connection")
    assert "better-sqlite3" in message


def test_a_platform_without_library(app):  # noqa: F811
    message = app.error("Object.defineProperty(process, 'platform', { value: 'win32' });"
                        "require('sqlite-bge').getLoadablePath()")
    assert f"no library for win32-{ARCH}" in message and "linux-x64 and linux-arm64" in message


def test_the_library_s_package_is_missing(other_app):
    shutil.rmtree(other_app.folder / "node_modules" / f"sqlite-bge-linux-{ARCH}")
    message = other_app.error("require('sqlite-bge').getLoadablePath()")
    assert "optional dependencies" in message
    assert f"npm install sqlite-bge-linux-{ARCH}@{VERSION}" in message


def test_a_library_of_another_platform(other_app, new_node):  # noqa: F811
    """node_modules that was copied from another machine: here a library whose ELF header says s390x."""
    library = other_app.folder / "node_modules" / f"sqlite-bge-linux-{ARCH}" / "libbge.so"
    content = bytearray(library.read_bytes())
    content[18:20] = (22).to_bytes(2, "little")
    library.write_bytes(content)
    message = other_app.error(
        f"{LOAD}(new (require('node:sqlite').DatabaseSync)(':memory:', {{ allowExtension: true }}))", new_node)
    assert message.startswith(f"{library} was not loaded: ") and "cannot open shared object file" in message


def test_no_model_is_an_error_that_leaves_the_connection_usable(other_app, new_node):  # noqa: F811
    code = """
        const { DatabaseSync } = require('node:sqlite');
        const db = new DatabaseSync(':memory:', { allowExtension: true });
        require('sqlite-bge').load(db);
        try { db.prepare("SELECT bge_embed('a')").get() } catch (error) { console.log(error.message) }
        console.log(db.prepare("SELECT bge_dims(x'0000803f') AS dims").get().dims);
    """
    done = other_app.node(code, new_node, BGE_MODELS=None)
    message, dims = done.stdout.splitlines()
    assert "no model 'bge-small-en-v1.5' found" in message and dims == "1", done.stderr


def test_tarballs_are_small_enough_for_a_registry():
    assert sum(tarball.stat().st_size for tarball in TARBALLS) < 20e6
