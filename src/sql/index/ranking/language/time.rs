//! What a value says as a moment, in Unix seconds.
//!
//! A number is Unix seconds already. A text is a date as SQLite's date functions take it, in UTC unless it ends
//! in an offset: `YYYY-MM-DD`, `YYYY-MM-DD HH:MM`, `YYYY-MM-DD HH:MM:SS`, `YYYY-MM-DD HH:MM:SS.SSS`, a `T` for
//! the blank, `Z` or `+HH:MM` or `-HH:MM` behind a time of day. Unlike SQLite, which reads 31 February as 3
//! March, a day that there is not is no date; times of day without a date and Julian day numbers are none.

use crate::sql::ffi::Value;

/// The moment; `None` where the value says none (NULL and BLOBs too).
pub fn unix_seconds(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(seconds) => Some(*seconds as f64),
        Value::Real(seconds) => Some(*seconds).filter(|seconds| seconds.is_finite()),
        Value::Text(_) => moment(value.as_str()?),
        Value::Null | Value::Blob(_) => None,
    }
}

const DAY: f64 = 86_400.0;

fn moment(text: &str) -> Option<f64> {
    let mut rest = text.trim_end_matches(is_blank);
    let year = digits(&mut rest, 4)?;
    sign(&mut rest, '-')?;
    let month = digits(&mut rest, 2)?;
    sign(&mut rest, '-')?;
    let day = digits(&mut rest, 2)?;
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day) as f64;
    if rest.is_empty() {
        return Some(days * DAY);
    }
    match sign(&mut rest, 'T') {
        Some(()) => {}
        None => {
            let time = rest.trim_start_matches(is_blank);
            if time.len() == rest.len() {
                return None;
            }
            rest = time;
        }
    }
    let time = time_of_day(&mut rest)?;
    let offset = offset(rest.trim_start_matches(is_blank))?;
    Some(days * DAY + time - offset)
}

/// Seconds since midnight. 24:00 is the end of the day.
fn time_of_day(rest: &mut &str) -> Option<f64> {
    let (hour, minute) = (digits(rest, 2)?, colon_and_digits(rest)?);
    let mut second = 0.0;
    if rest.starts_with(':') {
        second = colon_and_digits(rest)? as f64;
        if sign(rest, '.').is_some() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (fraction, behind) = rest.split_at(end);
            second += format!("0.{fraction}")
                .parse::<f64>()
                .ok()
                .filter(|_| end > 0)?;
            *rest = behind;
        }
    }
    let seconds = (hour * 60 + minute) as f64 * 60.0 + second;
    (minute < 60 && second < 60.0 && seconds <= DAY).then_some(seconds)
}

/// Seconds that the local time is ahead of UTC.
fn offset(text: &str) -> Option<f64> {
    let (ahead, mut rest) = match text.chars().next() {
        None => return Some(0.0),
        Some('Z' | 'z') if text.len() == 1 => return Some(0.0),
        Some('+') => (1.0, &text[1..]),
        Some('-') => (-1.0, &text[1..]),
        Some(_) => return None,
    };
    let (hours, minutes) = (digits(&mut rest, 2)?, colon_and_digits(&mut rest)?);
    // SQLite's bounds: no country is farther from UTC than 14 hours.
    let fits = hours <= 14 && minutes < 60 && rest.is_empty();
    fits.then_some(ahead * (hours * 60 + minutes) as f64 * 60.0)
}

fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0b'
}

fn sign(rest: &mut &str, wanted: char) -> Option<()> {
    *rest = rest.strip_prefix(wanted)?;
    Some(())
}

fn colon_and_digits(rest: &mut &str) -> Option<i64> {
    sign(rest, ':')?;
    digits(rest, 2)
}

/// A number of exactly `count` digits.
fn digits(rest: &mut &str, count: usize) -> Option<i64> {
    let found = rest.get(..count)?;
    let all = found.bytes().all(|b| b.is_ascii_digit());
    *rest = &rest[count..];
    found.parse().ok().filter(|_| all)
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar: Howard Hinnant's `days_from_civil`
/// (chrono-Compatible Low-Level Date Algorithms, 2013). Years count from March, so that the leap day is the
/// last of one; an era is 400 years, 146,097 days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests;
