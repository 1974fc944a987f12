//! Every expectation of the table was had from SQLite 3.40 itself.

use super::*;
use Literal::{B, I, N, R, T};

#[derive(Clone, Copy, Debug)]
enum Literal {
    N,
    I(i64),
    R(f64),
    T(&'static str),
    B(&'static [u8]),
}

impl Literal {
    fn value(self) -> Value {
        match self {
            N => Value::Null,
            I(n) => Value::Integer(n),
            R(x) => Value::Real(x),
            T(text) => Value::from(text),
            B(bytes) => Value::Blob(bytes.into()),
        }
    }
}

/// Declared type, what is written, what is stored.
#[rustfmt::skip]
fn stored() -> Vec<(&'static str, Literal, Literal)> {
    vec![
        ("TEXT", I(5), T("5")),
        ("TEXT", I(i64::MIN), T("-9223372036854775808")),
        ("TEXT", R(1.0), T("1.0")),
        ("TEXT", R(-0.0), T("0.0")),
        ("TEXT", R(1.5), T("1.5")),
        ("TEXT", R(0.30000000000000004), T("0.3")),
        ("TEXT", R(100000000000000.0), T("100000000000000.0")),
        ("TEXT", R(1000000000000000.0), T("1.0e+15")),
        ("TEXT", R(999999999999999.9), T("1.0e+15")),
        ("TEXT", R(1.2345678901234568e+17), T("1.23456789012346e+17")),
        ("TEXT", R(1e+100), T("1.0e+100")),
        ("TEXT", R(-1e-05), T("-1.0e-05")),
        ("TEXT", R(0.0001), T("0.0001")),
        ("TEXT", R(5e-324), T("4.94065645841247e-324")),
        ("TEXT", R(f64::INFINITY), T("Inf")),
        ("TEXT", T("x"), T("x")),
        ("TEXT", B(&[120]), B(&[120])),
        ("TEXT", N, N),
        ("INTEGER", T("5"), I(5)),
        ("INTEGER", T(" 5\u{a}"), I(5)),
        ("INTEGER", T("\u{b}-05"), I(-5)),
        ("INTEGER", T("+5"), I(5)),
        ("INTEGER", T("5."), I(5)),
        ("INTEGER", T("5.0"), I(5)),
        ("INTEGER", T(".5"), R(0.5)),
        ("INTEGER", T("5e1"), I(50)),
        ("INTEGER", T("5e-1"), R(0.5)),
        ("INTEGER", T("1e"), T("1e")),
        ("INTEGER", T("e1"), T("e1")),
        ("INTEGER", T("."), T(".")),
        ("INTEGER", T("+"), T("+")),
        ("INTEGER", T("- 5"), T("- 5")),
        ("INTEGER", T("5 x"), T("5 x")),
        ("INTEGER", T("0x10"), T("0x10")),
        ("INTEGER", T("1_0"), T("1_0")),
        ("INTEGER", T(""), T("")),
        ("INTEGER", T("5\u{0}"), T("5\u{0}")),
        ("INTEGER", T("inf"), T("inf")),
        ("INTEGER", T("9223372036854775807"), I(9223372036854775807)),
        ("INTEGER", T("9223372036854775808"), R(9.223372036854776e+18)),
        ("INTEGER", T("-9223372036854775808"), I(i64::MIN)),
        ("INTEGER", T("-9223372036854775808.0"), R(-9.223372036854776e+18)),
        ("INTEGER", T("9007199254740993.0"), I(9007199254740992)),
        ("INTEGER", T("1e18"), I(1000000000000000000)),
        ("INTEGER", T("1e19"), R(1e+19)),
        ("INTEGER", T("1e999"), R(f64::INFINITY)),
        ("INTEGER", R(5.0), I(5)),
        ("INTEGER", R(5.5), R(5.5)),
        ("INTEGER", R(-0.0), I(0)),
        ("INTEGER", R(1e+18), I(1000000000000000000)),
        ("INTEGER", R(9.223372036854776e+18), R(9.223372036854776e+18)),
        ("INTEGER", B(&[53]), B(&[53])),
        ("INTEGER", N, N),
        ("REAL", I(5), R(5.0)),
        ("REAL", T("5"), R(5.0)),
        ("REAL", T("5.5"), R(5.5)),
        ("REAL", T("x"), T("x")),
        ("REAL", I(9007199254740993), R(9007199254740992.0)),
        ("REAL", B(&[53]), B(&[53])),
        ("NUMERIC", T("5.0"), I(5)),
        ("NUMERIC", R(5.0), I(5)),
        ("NUMERIC", T("abc"), T("abc")),
        ("NUMERIC", R(1e+300), R(1e+300)),
        ("BLOB", I(5), I(5)),
        ("BLOB", R(5.0), R(5.0)),
        ("BLOB", T("5"), T("5")),
        ("", R(5.0), R(5.0)),
    ]
}

#[test]
fn what_is_stored_is_what_sqlite_stores() {
    for (declared, written, expected) in stored() {
        let stored = apply(affinity_of(declared), written.value());
        assert_eq!(stored, expected.value(), "{declared} {written:?}");
    }
}

#[test]
fn types_have_their_affinity() {
    for (declared, affinity) in [
        ("", Affinity::Blob),
        ("  ", Affinity::Blob),
        ("BLOB", Affinity::Blob),
        ("REALBLOB", Affinity::Blob),
        ("int", Affinity::Integer),
        ("UNSIGNED BIG INT", Affinity::Integer),
        ("CHARINT", Affinity::Integer),
        ("FLOATING POINT", Affinity::Integer),
        ("VARCHAR(255)", Affinity::Text),
        ("NATIVE CHARACTER(70)", Affinity::Text),
        ("clob", Affinity::Text),
        ("TEXT BLOB", Affinity::Text),
        ("DOUBLE PRECISION", Affinity::Real),
        ("float", Affinity::Real),
        ("REAL", Affinity::Real),
        ("DECIMAL(10,5)", Affinity::Numeric),
        ("BOOLEAN", Affinity::Numeric),
        ("DATETIME", Affinity::Numeric),
        ("STRING", Affinity::Numeric),
        ("ANY", Affinity::Numeric),
    ] {
        assert_eq!(affinity_of(declared), affinity, "{declared}");
    }
}

#[test]
fn text_that_is_not_utf8_is_text() {
    let number = |text: &[u8]| apply(Affinity::Numeric, Value::Text(text.into()));
    assert_eq!(number(b"12"), Value::Integer(12));
    assert_eq!(number(b"12\xff"), Value::Text(b"12\xff".into()));
}
