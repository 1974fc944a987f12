"""Vector maths in SQL against an oracle in Python floats (fsum), and JSON against the bits."""

import json
import math
import random
import struct

import pytest
from support import HostError, blob, failure, floats, value

PAIRS = {
    "bge_cosine": lambda a, b: dot(a, b) / math.sqrt(dot(a, a)) / math.sqrt(dot(b, b)),
    "bge_dot": lambda a, b: dot(a, b),
    "bge_l2": lambda a, b: math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b))),
}


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def random_vector(dims, seed, scale=1.0):
    dice = random.Random(seed)
    return blob(*(dice.gauss(0, scale) for _ in range(dims)))


@pytest.mark.parametrize("name, a, b, wanted", [
    ("bge_cosine", [3, 4], [3, 4], 1.0),
    ("bge_cosine", [3, 4], [-3, -4], -1.0),
    ("bge_cosine", [1, 0], [0, 1], 0.0),
    ("bge_cosine", [3, 4], [4, 3], 0.96),
    ("bge_cosine", [1], [200], 1.0),
    ("bge_dot", [1, 2, 3], [4, -5, 6], 12.0),
    ("bge_dot", [0.5], [0.25], 0.125),
    ("bge_l2", [1, 1], [4, 5], 5.0),
    ("bge_l2", [1, 2, 3], [1, 2, 3], 0.0),
])
def test_small_cases_are_exact(db, name, a, b, wanted):
    got = value(db, f"SELECT {name}(?, ?)", blob(*a), blob(*b))
    assert isinstance(got, float) and got == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize("name", PAIRS)
def test_small_cases_in_every_host(any_host, name):
    a, b = [1.0, -2.0, 0.5], [0.25, 3.0, 8.0]
    [[got]] = any_host.rows(f"SELECT {name}(x'{blob(*a).hex()}', x'{blob(*b).hex()}')")
    assert got == pytest.approx(PAIRS[name](a, b), rel=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 384, 385, 768, 1024, 4097])
@pytest.mark.parametrize("name", PAIRS)
def test_every_length_agrees_with_the_oracle(db, name, dims):
    a, b = random_vector(dims, 1), random_vector(dims, 2)
    got = value(db, f"SELECT {name}(?, ?)", a, b)
    assert got == pytest.approx(PAIRS[name](floats(a), floats(b)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name, a, b", [
    # What is left after cancelling is a millionth of the terms.
    ("bge_dot", [1000.0] * 511 + [1.0] + [-1000.0] * 511 + [0.0009765625], [1.0] * 1024),
    ("bge_l2", [1000.001] * 1024, [1000.0] * 1024),
    ("bge_cosine", [0.01] * 1024, [0.01] * 1023 + [0.0101]),
    ("bge_dot", [0.1] * 1024, [0.1] * 1024),
])
def test_1024_dimensions_keep_six_digits(db, name, a, b):
    got = value(db, f"SELECT {name}(?, ?)", blob(*a), blob(*b))
    assert got == pytest.approx(PAIRS[name](floats(blob(*a)), floats(blob(*b))), rel=1e-7)


@pytest.mark.parametrize("size", [3e38, 1e30, 1e-30, 1e-38, 1e-45])
def test_very_large_and_very_small_vectors_have_a_cosine(db, size):
    assert value(db, "SELECT bge_cosine(?, ?)", blob(*[size] * 1024), blob(*[size] * 1024)) == 1.0
    assert value(db, "SELECT bge_cosine(?, ?)", blob(size, 0), blob(0, size)) == 0.0


def test_cosine_stays_between_minus_one_and_one(db):
    for seed in range(300):
        v = floats(random_vector(5, seed))
        for factor in (1.0, -1.0, 3.0, -0.1):
            got = value(db, "SELECT bge_cosine(?, ?)", blob(*v), blob(*(factor * x for x in v)))
            assert -1.0 <= got <= 1.0 and abs(got) == pytest.approx(1.0, abs=1e-6)


def test_a_zero_vector_has_cosine_0_with_everything(db):
    for other in ([1, 2], [0, 0], [-3e38, 1e-45], [-0.0, 0.0]):
        assert value(db, "SELECT bge_cosine(?, ?)", blob(0, 0), blob(*other)) == 0.0
        assert value(db, "SELECT bge_cosine(?, ?)", blob(*other), blob(0, 0)) == 0.0


@pytest.mark.parametrize("name", PAIRS)
def test_a_constant_argument_on_either_side_gives_each_row_its_own_value(db, name):
    rows = [random_vector(16, seed) for seed in range(50)]
    constant = random_vector(16, "constant")
    db.execute("CREATE TABLE t(i INTEGER PRIMARY KEY, v)")
    db.executemany("INSERT INTO t VALUES (?, ?)", enumerate(rows))
    found = db.execute(f"SELECT {name}(v, ?1), {name}(?1, v), {name}(v, v) FROM t ORDER BY i", (constant,))
    for row, got in zip(rows, list(found), strict=True):
        wanted = PAIRS[name](floats(row), floats(constant))
        own = PAIRS[name](floats(row), floats(row))
        assert got == pytest.approx((wanted, wanted, own), rel=1e-9, abs=1e-12)


def test_normalize_gives_length_one_and_the_same_direction(db):
    assert floats(value(db, "SELECT bge_normalize(?)", blob(3, 4))) == floats(blob(0.6, 0.8))
    for dims, scale in [(1, 1), (7, 1), (384, 1e-5), (1024, 1e30)]:
        v = floats(random_vector(dims, dims, scale))
        norm = math.sqrt(dot(v, v))
        assert floats(value(db, "SELECT bge_normalize(?)", blob(*v))) == floats(blob(*(x / norm for x in v)))


def test_normalize_leaves_a_zero_vector_as_it_is(db):
    assert value(db, "SELECT bge_normalize(?)", blob(0, 0, 0)) == blob(0, 0, 0)


def test_dims_counts_elements(db):
    for dims in (1, 2, 384, 100_000):
        assert value(db, "SELECT bge_dims(?)", bytes(4 * dims)) == dims
    assert value(db, "SELECT typeof(bge_dims(zeroblob(8)))") == "integer"


def test_result_types(db):
    types = ("SELECT typeof(bge_cosine(v, v)) || typeof(bge_dot(v, v)) || typeof(bge_l2(v, v)) || "
             "typeof(bge_normalize(v)) || typeof(bge_to_json(v)) || typeof(bge_from_json('[1]')) "
             "FROM (SELECT ? AS v)")
    assert value(db, types, blob(1, 0)) == "realrealrealblobtextblob"


# --- JSON ----------------------------------------------------------------------------------------

EXTREME = [0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF,
           0xFF7FFFFF, 0x3F800000, 0x3F800001, 0x3F7FFFFF, 0x3DCCCCCD, 0x4B800000, 0x4B7FFFFF,
           0x5F000000, 0x7149F2CA, 0x0DA24260]


def finite_patterns():
    dice = random.Random(7)
    patterns = EXTREME + [dice.getrandbits(32) for _ in range(2000)]
    return [bits for bits in patterns if bits >> 23 & 0xFF != 0xFF]


def test_json_gives_the_same_bits_back(db):
    bits = finite_patterns()
    vector = struct.pack(f"<{len(bits)}I", *bits)
    assert value(db, "SELECT bge_from_json(bge_to_json(?))", vector) == vector


def as_f32(x):
    try:
        return struct.pack("<f", x)
    except OverflowError:
        return None


def shortest_digits(x):
    """The fewest significant digits that give the f32 back."""
    return next(n for n in range(1, 10) if as_f32(float(f"{x:.{n - 1}e}")) == as_f32(x))


def digits(number):
    mantissa = number.lower().lstrip("-").split("e")[0]
    significant = mantissa.replace(".", "").lstrip("0")
    return len(significant.rstrip("0")) or 1


def test_json_has_the_shortest_digits(db):
    bits = [pattern & 0x7FFFFFFF for pattern in finite_patterns()]
    text = value(db, "SELECT bge_to_json(?)", struct.pack(f"<{len(bits)}I", *bits))
    written = text.strip("[]").split(",")
    for pattern, number in zip(bits, written, strict=True):
        [x] = struct.unpack("<f", struct.pack("<I", pattern))
        assert digits(number) == shortest_digits(x), (hex(pattern), number)


def test_json_is_plain_json_for_others(db):
    text = value(db, "SELECT bge_to_json(?)", blob(0.1, -2, 1e-7, 3e38, 0.0))
    assert floats(blob(*json.loads(text))) == floats(blob(0.1, -2, 1e-7, 3e38, 0.0))
    assert value(db, "SELECT json_array_length(bge_to_json(zeroblob(12)))") == 3


@pytest.mark.parametrize("text, wanted", [
    ("[1, 2.5]", [1, 2.5]), ("\n[ 1e2,\t-0.5E-1 ]\r\n", [100, -0.05]), ("[16777217]", [16777216]),
    ("[0.1]", [0.1]), ("[1e-60]", [0]), ("[3.4028235e38]", [3.4028235e38]),
    ("[123456789012345678901234567890]", [1.2345678901234568e29]),
])
def test_from_json_reads_numbers_as_json_writes_them(db, text, wanted):
    assert value(db, "SELECT bge_from_json(?)", text) == blob(*wanted)


@pytest.mark.parametrize("text, part", [
    ("", "JSON"), ("[", "JSON"), ("[1,]", "JSON"), ("[1] x", "JSON"), ("[NaN]", "JSON"),
    ("[Infinity]", "JSON"), ("[01]", "JSON"), ("[1]\0", "JSON"), ("[" * 100_000, "JSON"),
    ("[]", "empty"), ("{}", "object"), ("7", "number"), ("null", "null"),
    ("[1, null]", "element 1"), ("[\"1\"]", "element 0"), ("[1, 2, [3]]", "element 2"),
    ("[true]", "element 0"), ("[0, 3.5e38]", "element 1"), ("[-1e39]", "element 0"), ("[1e400]", ""),
])
def test_from_json_says_what_is_wrong(db, text, part):
    error = str(failure(db, "SELECT bge_from_json(?)", text))
    assert error.startswith("bge_from_json: argument 1") and part in error
    assert len(error) < 400
    assert value(db, "SELECT bge_from_json('[1]')") == blob(1)


def test_errors_read_the_same_in_every_host(any_host):
    with pytest.raises(HostError) as error:
        any_host.rows("SELECT bge_cosine(zeroblob(4), zeroblob(8))")
    assert "bge_cosine: " in str(error.value) and "1 and 2 dimensions" in str(error.value)


# --- blobs of another type -----------------------------------------------------------------------


def doubles(count, seed=1):
    """A unit vector as numpy's default type has it: 8 bytes a dimension."""
    values = [random.Random(seed + i).gauss(0, 1) for i in range(count)]
    norm = sum(x * x for x in values) ** 0.5
    return [x / norm for x in values]


@pytest.mark.parametrize("function", ["bge_cosine", "bge_dot", "bge_l2"])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_blob_of_float64_is_asked_about(db, function, swapped):
    values = doubles(384)
    pair = [struct.pack("<384d", *values), blob(*values)]
    message = str(failure(db, f"SELECT {function}(?, ?)", *(reversed(pair) if swapped else pair)))
    assert "768 and 384" in message or "384 and 768" in message
    assert "expected equal ones; float64? " in message and "astype('float32')" in message


@pytest.mark.parametrize("function", ["bge_normalize(?)", "bge_to_json(?)", "bge_cosine(?1, ?1)"])
def test_a_bad_element_of_a_blob_of_float64_is_asked_about(db, function):
    """Half of a double is often no finite float."""
    bad = next(v for v in (struct.pack("<384d", *doubles(384, seed)) for seed in range(0, 100000, 1000))
               if not all(map(math.isfinite, floats(v))))
    assert "expected a finite number; float64? " in str(failure(db, f"SELECT {function}", bad))


@pytest.mark.parametrize("dims", [(768, 384), (384, 768), (4, 2), (384, 192)])
def test_vectors_of_two_models_are_not(db, dims):
    pair = [blob(*doubles(n)) for n in dims]
    message = str(failure(db, "SELECT bge_cosine(?, ?)", *pair))
    assert message.endswith("vectors of different models cannot be compared")


@pytest.mark.parametrize("function", ["bge_cosine", "bge_dot", "bge_l2"])
@pytest.mark.parametrize("first, second, place", [(1, 0, 1), (0, 1, 2), (1, 1, 1)])
def test_the_argument_with_the_bad_element_is_named(db, function, first, second, place):
    pair = [blob(1, float("nan") if bad else 2) for bad in (first, second)]
    message = str(failure(db, f"SELECT {function}(?, ?)", *pair))
    assert message.startswith(f"{function}: argument {place}: element 1 of the vector is NaN"), message
