//! Lists of names, sizes and ages as messages show them. Pure.

/// More names than this are not read by anybody.
const SHOWN: usize = 20;

/// `a, b, c`, cut after twenty.
pub fn names<S: AsRef<str>>(list: &[S]) -> String {
    let shown: Vec<&str> = list.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match list.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `1 table`, `2 tables`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

/// As `pg_size_pretty` says it.
pub fn bytes(n: i64) -> String {
    let mut value = n;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if value < 10 * 1024 {
            return format!("{value} {unit}");
        }
        value /= 1024;
    }
    format!("{value} TB")
}

/// Seconds as `12 s`, `3 min`, `2 h 5 min`, `4 d 1 h`.
pub fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let list: Vec<String> = (0..23).map(|i| format!("t{i}")).collect();
        assert_eq!(names(&list[..2]), "t0, t1");
        assert!(names(&list).ends_with("t19 and 3 more"));
    }

    #[test]
    fn sizes_and_ages_read_well() {
        assert_eq!(bytes(8192), "8192 bytes");
        assert_eq!(bytes(3 << 30), "3072 MB");
        assert_eq!(bytes(30 << 40), "30 TB");
        assert_eq!(age(59), "59 s");
        assert_eq!(age(7500), "2 h 5 min");
        assert_eq!(age(90_000), "1 d 1 h");
        assert_eq!(count(1, "table"), "1 table");
    }
}
