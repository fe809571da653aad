//! Times, durations, sizes and numbers as people read them. Pure.

/// Seconds since 1970, as `2026-11-21 07:31:05`, UTC.
pub fn stamp(at: f64) -> String {
    let (date, time) = (date(at), clock(at));
    format!("{date} {time}")
}

/// `2026-11-21`. Days since 1970 to the Gregorian calendar: eras of 400 years, years that begin in March.
pub fn date(at: f64) -> String {
    let days = (at.floor() as i64).div_euclid(86_400) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `07:31:05`.
pub fn clock(at: f64) -> String {
    let second = (at.floor() as i64).rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// The two largest units.
pub fn lasted(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as i64;
    let two = |large: i64, one: &str, small: i64, other: &str| match small {
        0 => format!("{large} {one}"),
        _ => format!("{large} {one} {small} {other}"),
    };
    match whole {
        _ if seconds < 0.0005 => "0 s".to_owned(),
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds * 1000.0),
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => two(whole / 60, "min", whole % 60, "s"),
        3600..86_400 => two(whole / 3600, "h", whole / 60 % 60, "min"),
        _ => two(whole / 86_400, "d", whole / 3600 % 24, "h"),
    }
}

/// In units of 1024, as `pg_size_pretty` has them.
pub fn size(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if value < 1024.0 {
            return short(value, unit);
        }
        value /= 1024.0;
    }
    short(value, "TB")
}

fn short(value: f64, unit: &str) -> String {
    if value < 10.0 && value.fract() > 0.05 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// `1,900,000`.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Without what XML does not allow at all, escaped or not: control characters.
pub fn clean(text: &str) -> String {
    let allowed = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}' | '\u{FFFD}') => '?',
        c => c,
    };
    text.chars().map(allowed).collect()
}

/// Everything else than ASCII as character references.
pub fn ascii(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    for c in html.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            text.push_str(&format!("&#{};", u32::from(c)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(stamp(0.0), "1970-01-01 00:00:00");
        assert_eq!(stamp(951_782_399.9), "2000-02-28 23:59:59");
        assert_eq!(stamp(951_782_400.0), "2000-02-29 00:00:00");
        assert_eq!(stamp(1_795_245_065.0), "2026-11-21 07:11:05");
        assert_eq!(date(4_107_542_400.0), "2100-03-01");
        assert_eq!(stamp(-1.0), "1969-12-31 23:59:59");
    }

    #[test]
    fn durations_have_two_units() {
        let told = [
            0.0, 0.0123, 0.9996, 3.26, 59.6, 61.0, 3600.0, 7260.0, 90_000.0,
        ]
        .map(lasted)
        .join(", ");
        assert_eq!(
            told,
            "0 s, 12 ms, 1.0 s, 3.3 s, 1 min, 1 min 1 s, 1 h, 2 h 1 min, 1 d 1 h"
        );
    }

    #[test]
    fn sizes_and_counts() {
        assert_eq!(size(160_563_200.0), "153 MB");
        assert_eq!(size(1.5 * 1024.0 * 1024.0 * 1024.0), "1.5 GB");
        assert_eq!(size(12.0), "12 bytes");
        assert_eq!(count(1_900_000), "1,900,000");
        assert_eq!(count(-999), "-999");
    }

    #[test]
    fn nothing_that_xml_forbids() {
        assert_eq!(clean("a\u{1}b\nc\u{FFFF}"), "a?b\nc?");
        assert_eq!(ascii("caf\u{e9} <b>"), "caf&#233; <b>");
    }
}
