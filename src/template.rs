//! Fills `{name}` placeholders of the SQL files, with what must already be quoted; or their parameters, where they cannot be
//! bound. Pure.

use crate::quote::literal;

/// Panics on a placeholder that is not given: our own file and caller disagree.
pub fn fill(sql: &str, values: &[(&str, &str)]) -> String {
    let body = without_comments(sql);
    let mut filled = String::with_capacity(body.len() * 2);
    let mut rest = body.as_str();
    while let Some(open) = rest.find('{') {
        let close = open + rest[open..].find('}').expect("a placeholder is closed");
        let name = &rest[open + 1..close];
        let value = values
            .iter()
            .find(|(n, _)| *n == name)
            .unwrap_or_else(|| panic!("no value for placeholder {{{name}}}"));
        filled.push_str(&rest[..open]);
        filled.push_str(value.1);
        rest = &rest[close + 1..];
    }
    filled.push_str(rest);
    filled
}

/// With constants for `$1`, `$2`, .. of a query.
pub fn bind(sql: &str, values: &[&str]) -> String {
    let body = without_comments(sql);
    let mut parts = body.split('$');
    let mut bound = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        match part[..digits].parse::<usize>() {
            Ok(number) => bound.push_str(&literal(values[number - 1])),
            // of a regular expression
            Err(_) => bound.push('$'),
        }
        bound.push_str(&part[digits..]);
    }
    bound
}

fn without_comments(sql: &str) -> String {
    let lines = sql.lines();
    let kept: Vec<&str> = lines
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect();
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{bind, fill};

    #[test]
    fn fills_and_drops_comments() {
        let sql = "-- {not} this\nselect {a} from {b};\n";
        assert_eq!(
            fill(sql, &[("a", "\"x{y}\""), ("b", "t")]),
            "select \"x{y}\" from t;"
        );
    }

    #[test]
    fn binds_what_looks_like_a_parameter_too() {
        let sql = "-- $1: this\nselect $2::int4, $1 || $2, 'x$'";
        assert_eq!(
            bind(sql, &["it's $2", "7"]),
            "select '7'::int4, 'it''s $2' || '7', 'x$'"
        );
    }

    #[test]
    #[should_panic(expected = "no value for placeholder {a}")]
    fn refuses_a_missing_value() {
        fill("select {a}", &[]);
    }
}
