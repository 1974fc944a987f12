"""Wrong arguments: a clear error with the right code, and a connection that goes on working."""

import time

import apsw
import pytest
from support import TINY, blob, failure, value

PAIRS = ["bge_cosine", "bge_dot", "bge_l2"]
SINGLES = ["bge_normalize", "bge_dims", "bge_to_json"]
TEXTS = ["bge_embed", "bge_embed_query", "bge_tokens", "bge_tokenize"]
MIB = 1 << 20


@pytest.fixture(autouse=True)
def usable_afterwards(db):
    """Whatever went wrong, the connection works."""
    yield
    assert value(db, "SELECT bge_dot(?, ?)", blob(1, 2), blob(3, 4)) == 11.0
    assert value(db, "SELECT bge_tokens('', ?)", TINY) == 2


def calls_with_vector(argument):
    """Calls of every function with this SQL expression in each place of a vector, and that place."""
    fine = f"x'{blob(1, 2).hex()}'"
    for name in PAIRS:
        yield f"{name}({argument}, {fine})", name, 1
        yield f"{name}({fine}, {argument})", name, 2
    for name in SINGLES:
        yield f"{name}({argument})", name, 1


# --- counts and NULL -----------------------------------------------------------------------------


@pytest.mark.parametrize("call", [
    *(f"{name}({arguments})" for name in PAIRS for arguments in ["", "x'00'", "1, 2, 3"]),
    *(f"{name}({arguments})" for name in SINGLES + ["bge_from_json"] for arguments in ["", "1, 2"]),
    *(f"{name}({arguments})" for name in TEXTS for arguments in ["", "'a', 'b', 'c'"]),
    "bge_version(1)", "bge_info('a', 'b')",
])
def test_a_wrong_number_of_arguments(db, call):
    name = call.split("(")[0]
    assert f"wrong number of arguments to function {name}()" in str(failure(db, f"SELECT {call}"))


def test_null_vectors_and_texts_give_null(db):
    v = f"x'{blob(1, 2).hex()}'"
    calls = [f"{name}({a}, {b})" for name in PAIRS for a, b in [("NULL", v), (v, "NULL"), ("NULL", "NULL")]]
    calls += [f"{name}(NULL)" for name in SINGLES + ["bge_from_json"]]
    calls += [f"{name}(NULL, '{TINY}')" for name in TEXTS]
    for call in calls:
        assert value(db, f"SELECT typeof({call})") == "null", call


@pytest.mark.parametrize("name", TEXTS)
def test_a_null_text_needs_no_model(db, name):
    assert value(db, f"SELECT typeof({name}(NULL, 'no-such-model'))") == "null"


@pytest.mark.parametrize("name", TEXTS)
def test_a_null_model_name_is_an_error(db, name):
    for text in ("'a'", "NULL"):
        error = str(failure(db, f"SELECT {name}({text}, NULL)"))
        assert error.startswith(f"{name}: argument 2 is NULL, expected")
        assert "leave it out" in error
    assert "bge_info: argument 1 is NULL" in str(failure(db, "SELECT bge_info(NULL)"))


# --- types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
def test_text_for_a_vector(db, name):
    v = blob(1, 2)
    for position, arguments in [(2, (v, "how do i")), (1, ("how do i", v))]:
        error = failure(db, f"SELECT {name}(?, ?)", *arguments)
        assert isinstance(error, apsw.MismatchError)
        assert str(error) == (f"{name}: argument {position} is text, expected a vector BLOB; "
                              "embed it first: bge_embed(...)")


@pytest.mark.parametrize("argument", ["42", "1.5", "'[1,2]'", "''"])
def test_other_types_for_a_vector(db, argument):
    for call, name, position in calls_with_vector(argument):
        error = failure(db, f"SELECT {call}")
        assert isinstance(error, apsw.MismatchError)
        assert str(error).startswith(f"{name}: argument {position} is ")
        assert "expected a vector BLOB" in str(error)


@pytest.mark.parametrize("name", [*TEXTS, "bge_from_json"])
def test_a_blob_for_a_text(db, name):
    model = "" if name == "bge_from_json" else f", '{TINY}'"
    for argument in ("x''", "x'616263'", "zeroblob(100)"):
        error = failure(db, f"SELECT {name}({argument}{model})")
        assert isinstance(error, apsw.MismatchError)
        assert str(error).startswith(f"{name}: argument 1 is ") and "blob" in str(error).lower()
        assert "expected text" in str(error) and "CAST" in str(error)


@pytest.mark.parametrize("argument", ["x'74696e79'", "42", "1.5"])
def test_other_types_for_a_model_name(db, argument):
    error = failure(db, f"SELECT bge_embed('a', {argument})")
    assert str(error).startswith("bge_embed: argument 2 is ") and "model name" in str(error)


# --- vectors that are none -----------------------------------------------------------------------


def test_an_empty_blob_is_no_vector(db):
    for argument in ("x''", "zeroblob(0)"):
        for call, name, position in calls_with_vector(argument):
            error = str(failure(db, f"SELECT {call}"))
            assert error.startswith(f"{name}: argument {position}") and "empty" in error, error


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1535])
def test_a_length_that_is_no_multiple_of_four(db, size):
    for call, name, position in calls_with_vector(f"zeroblob({size})"):
        error = str(failure(db, f"SELECT {call}"))
        assert error.startswith(f"{name}: argument {position}")
        assert f"{size} bytes" in error and "4 bytes" in error


@pytest.mark.parametrize("name", PAIRS)
def test_different_dims(db, name):
    error = str(failure(db, f"SELECT {name}(zeroblob(1536), zeroblob(3072))"))
    assert error.startswith(f"{name}: ") and "384 and 768" in error
    db.execute("CREATE TABLE t AS SELECT zeroblob(8) AS v UNION ALL SELECT zeroblob(12)")
    assert "2 and 3" in str(failure(db, f"SELECT {name}(v, zeroblob(8)) FROM t")).replace("3 and 2", "2 and 3")


BAD = {"nan": "0000c07f", "inf": "0000807f", "-inf": "000080ff", "signalling nan": "0100807f"}


@pytest.mark.parametrize("bits", BAD.values(), ids=BAD)
def test_nan_or_infinity_inside(db, bits):
    for call, name, position in calls_with_vector(f"x'{blob(1).hex()}{bits}'"):
        if name == "bge_dims":  # reads no element
            continue
        error = str(failure(db, f"SELECT {call}"))
        assert error.startswith(f"{name}: argument {position}") and "element 1" in error, error
        assert "finite" in error


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("bits", BAD.values(), ids=BAD)
def test_nan_or_infinity_in_a_later_row(db, name, bits):
    db.execute("CREATE TABLE t(v)")
    db.executemany("INSERT INTO t VALUES (?)", [(blob(1, 2),), (blob(0, 0),), (bytes(4) + bytes.fromhex(bits),)])
    for constant in (blob(1, 1), blob(0, 0)):
        for call, position in [(f"{name}(v, ?)", 1), (f"{name}(?, v)", 2)]:
            error = str(failure(db, f"SELECT {call} FROM t", constant))
            assert error.startswith(f"{name}: argument {position}") and "element 1" in error, error


def test_nan_in_a_constant_over_many_rows(db):
    db.execute("CREATE TABLE t AS SELECT zeroblob(4) AS v UNION ALL SELECT zeroblob(4)")
    for call, position in [("bge_cosine(v, x'0000c07f')", 2), ("bge_cosine(x'0000c07f', v)", 1)]:
        assert f"argument {position}" in str(failure(db, f"SELECT {call} FROM t"))


# --- texts that are none, or too much ------------------------------------------------------------


@pytest.mark.parametrize("hexed", ["ff", "616263ff", "c3", "c080", "eda080", "f5808080", "6100ff"])
@pytest.mark.parametrize("name", [*TEXTS, "bge_from_json"])
def test_text_that_is_not_utf8(db, name, hexed):
    model = "" if name == "bge_from_json" else f", '{TINY}'"
    error = str(failure(db, f"SELECT {name}(CAST(x'{hexed}' AS TEXT){model})"))
    assert error.startswith(f"{name}: argument 1") and "UTF-8" in error


def test_a_model_name_that_is_not_utf8(db):
    error = str(failure(db, "SELECT bge_embed('a', CAST(x'ff' AS TEXT))"))
    assert error.startswith("bge_embed: argument 2") and "UTF-8" in error


@pytest.mark.parametrize("name", [*TEXTS, "bge_from_json"])
def test_a_text_of_100_mb_is_too_big_and_refused_at_once(db, name):
    text = "word " * (20 * 1000 * 1000)
    arguments = (text,) if name == "bge_from_json" else (text, TINY)
    start = time.monotonic()
    error = failure(db, f"SELECT {name}({', '.join('?' * len(arguments))})", *arguments)
    assert isinstance(error, apsw.TooBigError)
    assert str(error).startswith(f"{name}: argument 1")
    assert "100000000" in str(error) and str(32 * MIB) in str(error)
    assert time.monotonic() - start < 3


def test_32_mib_are_allowed_and_one_byte_more_is_not(db):
    sql = "SELECT length(bge_embed(replace(hex(zeroblob(?)), '00', 'a ') || ?, ?))"
    assert value(db, sql, 16 * MIB, "", TINY) == 128
    assert isinstance(failure(db, sql, 16 * MIB, "x", TINY), apsw.TooBigError)


def test_a_long_count_can_be_interrupted(db):
    """A progress handler is how Datasette limits time and the shell's Ctrl-C works."""
    text = "word " * (6 * MIB)
    end = time.monotonic() + 0.2
    db.set_progress_handler(lambda: time.monotonic() > end, 1000)
    start = time.monotonic()
    error = failure(db, "SELECT bge_tokens(?, ?)", text, TINY)
    assert isinstance(error, apsw.InterruptError)
    assert time.monotonic() - start < 1.2
    db.set_progress_handler(None)
