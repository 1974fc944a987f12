"""The SQL names that exist are those of sql/catalogue.txt, with their flags, in every host."""

import apsw
from support import READONLY, ROOT

FLAGS = {"deterministic": 0x800, "directonly": 0x80000, "innocuous": 0x200000}
FUNCTIONS = ("SELECT name, narg, flags FROM pragma_function_list "
             r"WHERE name LIKE 'bge\_%' ESCAPE '\' ORDER BY name, narg")
MODULES = "SELECT name FROM pragma_module_list ORDER BY name"


def catalogue(readonly=False):
    """The functions and the modules; with `readonly` those of the read-only entry point."""
    lines = (ROOT / "sql" / "catalogue.txt").read_text(encoding="utf-8").splitlines()
    entries = [line.split() for line in lines if line and not line.startswith("#")]
    had = [entry for entry in entries if not readonly or "readonly" in entry]
    functions = [(name, int(arguments), set(flags) - {"-", "readonly"})
                 for kind, name, arguments, *flags in (e for e in had if e[0] == "function")]
    modules = [name for kind, name, *_ in (e for e in had if e[0] == "module")]
    assert len(functions) + len(modules) == len(had)
    return functions, modules


def names(flags):
    return {name for name, bit in FLAGS.items() if flags & bit}


def test_functions_are_those_of_the_catalogue(any_host):
    found = [(name, arguments, names(flags)) for name, arguments, flags in any_host.rows(FUNCTIONS)]
    assert found == catalogue()[0]


def test_every_name_comes_from_loading_and_starts_with_bge(db):
    bare = apsw.Connection(":memory:")
    everything = "SELECT name, narg FROM pragma_function_list"
    added = set(db.execute(everything)) - set(bare.execute(everything))
    assert added == {(name, arguments) for name, arguments, _ in catalogue()[0]}


def test_modules_are_those_of_the_catalogue(db):
    bare = apsw.Connection(":memory:")
    # Using a pragma as a table registers a module of SQLite's own.
    before, after = [{name for name, in c.execute(MODULES) if not name.startswith("pragma_")}
                     for c in (bare, db)]
    assert sorted(after - before) == catalogue()[1]


def test_the_read_only_entry_point_has_those_that_are_marked(connect):
    db, bare = connect(entry=READONLY), apsw.Connection(":memory:")
    found = [(name, arguments, names(flags)) for name, arguments, flags in db.execute(FUNCTIONS)]
    assert found == catalogue(readonly=True)[0] != catalogue()[0]
    after, before = [{name for name, in c.execute(MODULES) if not name.startswith("pragma_")} for c in (db, bare)]
    assert sorted(after - before) == catalogue(readonly=True)[1] != catalogue()[1]


def test_each_number_of_arguments_is_registered_on_its_own():
    assert all(arguments >= 0 for _, arguments, _ in catalogue()[0])


def test_version_is_a_semantic_version_without_side_effects(db, any_host):
    [[version]] = any_host.rows("SELECT bge_version()")
    major, minor, patch = version.split("-")[0].split(".")
    assert (major + minor + patch).isdigit()
    assert f'\nversion = "{version}"\n' in (ROOT / "Cargo.toml").read_text(encoding="utf-8")
