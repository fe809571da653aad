//! Which tables a subscription takes: patterns as psql's `\dt` understands them. Pure.
//!
//! `*` is any run of characters, `?` any one; letters fold to lower case unless in double quotes; a dot splits schema
//! from name (none: any schema). Nothing else is special (psql also passes regular expression characters through; a `$`
//! or `+` in a table name means itself here).

use crate::failure::Failure;

#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    schema: Option<Vec<Piece>>,
    name: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Char(char),
    One,
    Many,
}

impl Pattern {
    /// Errors: 22023 when quotes do not close, a part is empty, or there are more than two parts.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let malformed = |why: &str| {
            Failure::new("22023", format!("malformed table pattern {text:?}: {why}"))
                .hint("Patterns look like public.*, sales.ord* or \"Mixed\".\"Case\".")
        };
        let mut parts: Vec<Vec<Piece>> = vec![Vec::new()];
        let mut quoted = false;
        let mut chars = text.trim().chars().peekable();
        while let Some(c) = chars.next() {
            let part = parts.last_mut().expect("there is always a last part");
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    part.push(Piece::Char('"'));
                }
                '"' => quoted = !quoted,
                _ if quoted => part.push(Piece::Char(c)),
                '.' => parts.push(Vec::new()),
                '*' => part.push(Piece::Many),
                '?' => part.push(Piece::One),
                _ => part.extend(c.to_lowercase().map(Piece::Char)),
            }
        }
        if quoted {
            return Err(malformed("a double quote is not closed"));
        }
        if parts.iter().any(Vec::is_empty) {
            return Err(malformed("a part is empty"));
        }
        let name = parts.pop().expect("there is always a last part");
        let schema = parts.pop();
        if !parts.is_empty() {
            return Err(malformed("more than schema and name"));
        }
        Ok(Self {
            text: text.to_owned(),
            schema,
            name,
        })
    }

    pub fn parse_all(texts: &[String]) -> Result<Vec<Self>, Failure> {
        texts.iter().map(|t| Self::parse(t)).collect()
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn matches(&self, schema: &str, name: &str) -> bool {
        self.schema.as_ref().is_none_or(|s| like(s, schema)) && like(&self.name, name)
    }
}

/// Glob match without recursion: remembers the last `*` and comes back to it.
fn like(pattern: &[Piece], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Piece::Many) => {
                star = Some((p, t));
                p += 1;
            }
            Some(Piece::One) => {
                p += 1;
                t += 1;
            }
            Some(Piece::Char(c)) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|piece| *piece == Piece::Many)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(pattern: &str, schema: &str, name: &str) -> bool {
        Pattern::parse(pattern)
            .expect("a valid pattern")
            .matches(schema, name)
    }

    #[test]
    fn stars_and_question_marks() {
        assert!(hit("public.*", "public", "anything"));
        assert!(!hit("public.*", "sales", "anything"));
        assert!(hit("sales.ord*", "sales", "orders"));
        assert!(hit("*ord*s", "sales", "my_orders"));
        assert!(hit("order?", "x", "orders"));
        assert!(!hit("order?", "x", "order"));
        assert!(hit("a*b*c", "x", "a_b_b_c"));
    }

    #[test]
    fn case_folds_outside_quotes_only() {
        assert!(hit("Public.ORDERS", "public", "orders"));
        assert!(hit("\"Mixed\".\"Case\"", "Mixed", "Case"));
        assert!(!hit("mixed.case", "Mixed", "Case"));
        assert!(hit("\"dot.ted\".\"st*r\"", "dot.ted", "st*r"));
        assert!(!hit("\"st*r\"", "x", "star"));
        assert!(hit("\"q\"\"uote\"", "x", "q\"uote"));
        assert!(hit("a$+b", "x", "a$+b"));
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for bad in ["", "\"open", "a..b", "a.b.c", ".b", "a."] {
            let failure = Pattern::parse(bad).expect_err(bad);
            assert_eq!(failure.sqlstate, "22023", "{bad}");
        }
    }
}
