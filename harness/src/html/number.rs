// SPDX-License-Identifier: GPL-2.0-only
//! Numbers as people read them.

use std::time::{Duration, UNIX_EPOCH};

/// To three digits.
fn three(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.9995 || v == 0.0 => format!("{value:.2}"),
        v => {
            let digits = 2 - v.log10().floor() as i32;
            format!("{value:.*}", digits.clamp(3, 9) as usize)
        }
    }
}

/// 1234567 is "1.23 M", 0 is "0".
pub(crate) fn short(value: f64) -> String {
    let (scale, unit) = match value.abs() {
        0.0 => return "0".to_owned(),
        v if v >= 999.5e6 => (1e9, " G"),
        v if v >= 999.5e3 => (1e6, " M"),
        v if v >= 999.5 => (1e3, " k"),
        _ => (1.0, ""),
    };
    format!("{}{unit}", three(value / scale))
}

/// A time in nanoseconds: "1.23 ms".
pub(crate) fn time(ns: f64) -> String {
    let (scale, unit) = match ns.abs() {
        0.0 => return "0".to_owned(),
        v if v >= 999.5e6 => (1e9, "s"),
        v if v >= 999.5e3 => (1e6, "ms"),
        v if v >= 999.5 => (1e3, "µs"),
        _ => (1.0, "ns"),
    };
    format!("{} {unit}", three(ns / scale))
}

/// A share: "12.3 %", and what is very little is not called nothing.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        p if p.abs() < 0.001 => "<0.001 %".to_owned(),
        p => format!("{} %", three(p)),
    }
}

/// How many times: "×0.92".
pub(crate) fn times(ratio: f64) -> String {
    format!("×{}", three(ratio))
}

/// A count with its thousands set apart: "1 234 567".
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            // A space at which no line breaks.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// "1 thread", "2 threads".
pub(crate) fn threads(count: u32) -> String {
    match count {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    }
}

/// A round number, for a mark of an axis: "10 k", "0.5".
pub(crate) fn plain(value: f64) -> String {
    let (scale, unit) = match value.abs() {
        v if v >= 1e9 => (1e9, " G"),
        v if v >= 1e6 => (1e6, " M"),
        v if v >= 1e3 => (1e3, " k"),
        _ => (1.0, ""),
    };
    format!("{}{unit}", round(value / scale))
}

/// The same for a time in nanoseconds: "10 µs".
pub(crate) fn plain_time(ns: f64) -> String {
    let (scale, unit) = match ns.abs() {
        0.0 => return "0".to_owned(),
        v if v >= 1e9 => (1e9, "s"),
        v if v >= 1e6 => (1e6, "ms"),
        v if v >= 1e3 => (1e3, "µs"),
        _ => (1.0, "ns"),
    };
    format!("{} {unit}", round(ns / scale))
}

/// The same for a share: "2.5 %".
pub(crate) fn plain_percent(share: f64) -> String {
    format!("{} %", round(share * 100.0))
}

/// What an error of rounding adds is far beyond the digits of a round number.
fn round(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Seconds since 1970 as a date: "2026-11-26T12:10:00Z".
pub(crate) fn date(seconds: u64) -> String {
    // What no calendar has is a broken record, and no reason to fail.
    let last = 253_402_300_799;
    let time = UNIX_EPOCH + Duration::from_secs(seconds.min(last));
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let shown = [0.0, 1.0, 12.34, 999.0, 999.7, 123_456.0, 7.0e6, 0.0123].map(short);
        let wanted = [
            "0", "1.00", "12.3", "999", "1.00 k", "123 k", "7.00 M", "0.0123",
        ];
        assert_eq!(shown, wanted);
        let shown = [0.0, 12.0, 1500.0, 226e6, 4.1e9].map(time);
        assert_eq!(shown, ["0", "12.0 ns", "1.50 µs", "226 ms", "4.10 s"]);
    }

    #[test]
    fn little_is_not_nothing() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(1e-9), "<0.001 %");
        assert_eq!(percent(0.125), "12.5 %");
    }

    #[test]
    fn counts_are_set_in_threes() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn marks_are_as_short_as_can_be() {
        let steps = 3.0 * 0.1;
        assert_eq!(
            [0.0, steps, 20.0, 1500.0, 1e5].map(plain),
            ["0", "0.3", "20", "1.5 k", "100 k"]
        );
        assert_eq!(
            [0.0, 500.0, 2e4, 1e9].map(plain_time),
            ["0", "500 ns", "20 µs", "1 s"]
        );
        assert_eq!(plain_percent(0.025), "2.5 %");
    }

    #[test]
    fn a_date_that_no_calendar_has_is_no_panic() {
        assert_eq!(date(1_795_695_000), "2026-11-26T12:10:00Z");
        assert_eq!(date(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
