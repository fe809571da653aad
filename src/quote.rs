//! Quoting of names and values for SQL that is built as text. Pure; the only place that does it.

/// A quoted identifier: always with double quotes, so that case, keywords and odd characters never matter.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"schema"."name"`.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// A string constant, safe whatever `standard_conforming_strings` is.
pub fn literal(value: &str) -> String {
    let doubled = value.replace('\'', "''");
    if doubled.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// A regular expression of Postgres' that matches `text` and nothing else.
pub fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        // before a letter or a digit a backslash means something else
        if c.is_ascii_punctuation() && c != '_' {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// The text form of a `text[]` value, to be bound as a parameter.
pub fn array<S: AsRef<str>>(items: &[S]) -> String {
    let quoted: Vec<String> = items
        .iter()
        .map(|item| {
            let escaped = item.as_ref().replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{escaped}\"")
        })
        .collect();
    format!("{{{}}}", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_case_and_quotes() {
        assert_eq!(ident("Mixed"), "\"Mixed\"");
        assert_eq!(ident("we\"ird"), "\"we\"\"ird\"");
        assert_eq!(qualified("a.b", "c"), "\"a.b\".\"c\"");
    }

    #[test]
    fn literals_survive_quotes_and_backslashes() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), " E'a\\\\''b'");
    }

    #[test]
    fn patterns_match_what_they_are_made_of() {
        assert_eq!(pattern("\"Ab_1.c\".\"d\\"), r#"\"Ab_1\.c\"\.\"d\\"#);
    }

    #[test]
    fn arrays_escape_their_items() {
        assert_eq!(
            array(&["a", "b\"c", "d\\e", ""]),
            r#"{"a","b\"c","d\\e",""}"#
        );
        assert_eq!(array::<&str>(&[]), "{}");
    }
}
