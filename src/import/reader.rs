//! Words and names of a statement, read off its front. Pure.

use crate::table::shown;

/// A possibly qualified name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub schema: Option<String>,
    pub name: String,
}

impl Name {
    pub fn shown(&self) -> String {
        match &self.schema {
            Some(schema) => shown(schema, &self.name),
            None => part(&self.name),
        }
    }
}

/// As SQL would have it.
pub fn part(name: &str) -> String {
    let qualified = shown("x", name);
    qualified["x.".len()..].to_owned()
}

/// Reads words and names off the front of a statement.
pub struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            rest: text.trim_start(),
        }
    }

    /// The next word, if it is this one.
    pub fn take(&mut self, word: &str) -> bool {
        let (found, after) = self.bare();
        let same = found.eq_ignore_ascii_case(word);
        if same {
            self.rest = after;
        }
        same
    }

    pub fn take_all(&mut self, words: &[&str]) {
        words.iter().all(|word| self.take(word));
    }

    /// The next word, in upper case.
    pub fn word(&mut self) -> Option<String> {
        let (found, after) = self.bare();
        self.rest = after;
        (!found.is_empty()).then(|| found.to_uppercase())
    }

    fn bare(&self) -> (&'a str, &'a str) {
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
            .unwrap_or(self.rest.len());
        let (found, after) = self.rest.split_at(end);
        (found, after.trim_start())
    }

    /// The next name, `a` or `a.b`; of more parts the last two.
    pub fn name(&mut self) -> Option<Name> {
        let mut parts = vec![self.identifier()?];
        while let Some(after) = self.rest.strip_prefix('.') {
            self.rest = after;
            parts.push(self.identifier()?);
        }
        self.rest = self.rest.trim_start();
        let name = parts.pop()?;
        Some(Name {
            schema: parts.pop(),
            name,
        })
    }

    fn identifier(&mut self) -> Option<String> {
        let Some(mut rest) = self.rest.strip_prefix('"') else {
            let end = self.bare().0.len();
            let (found, after) = self.rest.split_at(end);
            self.rest = after;
            return (!found.is_empty()).then(|| found.to_owned());
        };
        let mut name = String::new();
        loop {
            let (inside, after) = rest.split_once('"')?;
            name.push_str(inside);
            match after.strip_prefix('"') {
                Some(more) => {
                    name.push('"');
                    rest = more;
                }
                None => {
                    self.rest = after;
                    return Some(name);
                }
            }
        }
    }

    /// Goes on behind the next occurrence of a word; names in between are stepped over as wholes.
    pub fn skip_to(&mut self, word: &str) -> Option<()> {
        while !self.take(word) {
            if self.name().is_none() {
                let mut chars = self.rest.chars();
                chars.next()?;
                self.rest = chars.as_str().trim_start();
            }
        }
        Some(())
    }
}
