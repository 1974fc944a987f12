//! Moments beside those of SQLite, and days one by one.

use super::*;

/// What `unixepoch` of SQLite 3.40 gives, and with fractions `(julianday(x) - 2440587.5) * 86400`.
#[test]
fn dates_are_those_of_sqlite() {
    for (text, seconds) in [
        ("0000-01-01", -62_167_219_200.0),
        ("0001-03-01", -62_130_499_200.0),
        ("0400-02-29", -49_539_340_800.0),
        ("1582-10-10", -12_219_724_800.0),
        ("1600-02-29", -11_670_998_400.0),
        ("1858-11-17 12:00", -3_506_673_600.0),
        ("1899-12-31T23:59:59", -2_208_988_801.0),
        ("1900-02-28", -2_203_977_600.0),
        ("1900-03-01", -2_203_891_200.0),
        ("1969-12-31 23:59:59", -1.0),
        ("1970-01-01", 0.0),
        ("1999-12-31", 946_598_400.0),
        ("2000-02-29", 951_782_400.0),
        ("2000-03-01 00:00:01", 951_868_801.0),
        ("2024-02-29T23:59:59Z", 1_709_251_199.0),
        ("2024-02-29T23:59:59.250z", 1_709_251_199.25),
        ("2026-11-25 10:12:05.5", 1_795_601_525.5),
        ("2026-11-25 10:12+05:30", 1_795_581_720.0),
        ("2026-11-25T10:12:05-14:00", 1_795_651_925.0),
        ("2026-11-25 10:12:05.125 +01:00", 1_795_597_925.125),
        ("2026-11-25  10:12 ", 1_795_601_520.0),
        ("2100-02-28", 4_107_456_000.0),
        ("2400-02-29 24:00", 13_574_649_600.0),
        ("9999-12-31 23:59:59.999", 253_402_300_799.999),
    ] {
        assert_eq!(unix_seconds(&text.into()), Some(seconds), "{text}");
    }
}

#[test]
fn what_is_no_moment_is_none() {
    for text in [
        // Days and times that there are not, which SQLite counts on from the one before.
        "1900-02-29",
        "2023-02-29",
        "2023-02-31",
        "2023-04-31",
        "2023-01-01 24:00:01",
        // What is a date in other places only.
        "2023-01-0112:00",
        "2023-01-01TT12:00",
        "2023-01-01T 12:00",
        "now",
        "12:00",
        "2460000",
        "-2023-01-01",
        "10000-01-01",
        "1700000000",
        "01.02.2023",
        "2023/01/01",
        // What SQLite takes for none either.
        "2023-13-01",
        "2023-00-10",
        "2023-01-00",
        "2023-01-32",
        "2023-1-1",
        "23-01-01",
        "2023-01-01 25:00",
        "2023-01-01 12",
        "2023-01-01 12:60",
        "2023-01-01 12:00:60",
        "2023-01-01 12:00:00.",
        "2023-01-01 12:00:00.x",
        "2023-01-01 12:00+15:00",
        "2023-01-01 12:00+0100",
        "2023-01-01Z",
        "2023-01-01 12:00ZZ",
        "2023-01-01t12:00",
        "",
        " 2023-01-01",
        "2023-01-01 12:00 x",
        "2023-01-01 12:00+01:60",
        "2023-01-01 12:00+01:00x",
        "２023-01-01",
        "20é-01-01",
        "+023-01-01",
        "2023-+1-01",
    ] {
        assert_eq!(unix_seconds(&text.into()), None, "{text}");
    }
    let none = [
        Value::Null,
        Value::Blob(b"2023-01-01".to_vec()),
        Value::Text(vec![0xff]),
    ];
    for value in none
        .into_iter()
        .chain([Value::Real(f64::INFINITY), Value::Real(f64::NAN)])
    {
        assert_eq!(unix_seconds(&value), None, "{value:?}");
    }
    assert_eq!(unix_seconds(&Value::Integer(-5)), Some(-5.0));
    assert_eq!(unix_seconds(&Value::Real(0.25)), Some(0.25));
}

/// Every day of eleven centuries, counted one by one.
#[test]
fn days_follow_each_other() {
    let mut expected = -11_676_096_000.0; // 1600-01-01, by SQLite's unixepoch.
    for year in 1_600..2_700 {
        let is_leap = year % 400 == 0 || year % 4 == 0 && year % 100 != 0;
        let lengths = [
            31,
            28 + i32::from(is_leap),
            31,
            30,
            31,
            30,
            31,
            31,
            30,
            31,
            30,
            31,
        ];
        for (month, length) in lengths.into_iter().enumerate() {
            for day in 1..=31 {
                let text = format!("{year}-{:02}-{day:02}", month + 1);
                let exists = (day <= length).then_some(expected);
                assert_eq!(unix_seconds(&text.as_str().into()), exists, "{text}");
                expected += exists.map_or(0.0, |_| DAY);
            }
        }
    }
}
