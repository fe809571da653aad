//! Fills `{name}` placeholders of the SQL files. Pure. What is filled in must already be quoted.

/// Panics on a placeholder that is not given: our own file and caller disagree.
pub fn fill(sql: &str, values: &[(&str, &str)]) -> String {
    let body: String = sql
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect::<Vec<_>>()
        .join("\n");
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

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn fills_and_drops_comments() {
        let sql = "-- {not} this\nselect {a} from {b};\n";
        assert_eq!(
            fill(sql, &[("a", "\"x{y}\""), ("b", "t")]),
            "select \"x{y}\" from t;"
        );
    }

    #[test]
    #[should_panic(expected = "no value for placeholder {a}")]
    fn refuses_a_missing_value() {
        fill("select {a}", &[]);
    }
}
