//! What is known of a table after a verification. Pure.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::shape::Key;
use super::suspect::Difference;

/// So many differing keys are listed.
const LISTED: usize = 20;

/// How many there are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rows {
    pub source: i64,
    pub target: i64,
}

impl Rows {
    pub fn add(&mut self, other: Rows) {
        self.source += other.source;
        self.target += other.target;
    }

    pub fn replace(&mut self, old: Rows, new: Rows) {
        self.source += new.source - old.source;
        self.target += new.target - old.target;
    }
}

#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub rows: Option<Rows>,
    /// how long both sides took to sum it up
    pub summing: Option<Duration>,
    /// `None`: not known
    pub equal: Option<bool>,
    /// names of the key's columns; none: `differing` has digests of rows
    pub key: Vec<String>,
    pub differing: Vec<(Key, Difference)>,
    /// keys that somebody has told replay to leave out (repl_skip)
    pub left_out: Vec<Key>,
    /// differences that are no keys: of definitions
    pub parts: Vec<String>,
    pub how: String,
    pub notes: Vec<String>,
}

impl Outcome {
    /// Nothing is known, because of this.
    pub fn open(why: String) -> Self {
        Self {
            how: "not checked".into(),
            notes: vec![why],
            ..Self::default()
        }
    }

    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// What was found does not count, because of this.
    pub fn reopen(&mut self, why: String) {
        self.equal = None;
        self.differing.clear();
        self.notes.insert(0, why);
    }

    /// The first differences, for people and programs; `None` when there is none.
    pub fn listed(&self) -> Option<String> {
        let of_key = |(key, difference): &(Key, Difference)| {
            let names = if self.key.is_empty() {
                vec!["md5 of the row".to_owned()]
            } else {
                self.key.clone()
            };
            let values: Map<String, Value> = names
                .into_iter()
                .zip(key.iter().map(|v| Value::from(v.as_str())))
                .collect();
            let mut item = json!({"key": values, "row": difference.as_str()});
            if self.left_out.contains(key) {
                item["left_out"] = true.into();
            }
            item
        };
        let keys = self.differing.iter().map(of_key);
        let parts = self.parts.iter().map(|part| Value::from(part.as_str()));
        let listed: Vec<Value> = keys.chain(parts).take(LISTED).collect();
        (!listed.is_empty()).then(|| Value::from(listed).to_string())
    }

    /// The notes, and how many differences are not listed.
    pub fn told(&self) -> Option<String> {
        let mut notes = Vec::new();
        let count = self.differing.len() + self.parts.len();
        if count > LISTED {
            notes.push(format!(
                "{count} differences, the first {LISTED} are listed"
            ));
        }
        if !self.left_out.is_empty() {
            let n = self.left_out.len();
            notes.push(format!(
                "{n} keys are left out by repl_skip, see repl_skipped"
            ));
        }
        notes.extend(self.notes.iter().cloned());
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_listed_by_key_up_to_a_limit() {
        let mut outcome = Outcome {
            key: vec!["a".into(), "b".into()],
            equal: Some(false),
            ..Outcome::default()
        };
        assert_eq!(outcome.listed(), None);
        assert_eq!(outcome.told(), None);
        outcome.differing = vec![(vec!["1".into(), "x\"".into()], Difference::Missing)];
        assert_eq!(
            outcome.listed().as_deref(),
            Some(r#"[{"key":{"a":"1","b":"x\""},"row":"missing"}]"#)
        );
        outcome.left_out = vec![vec!["1".into(), "x\"".into()]];
        assert_eq!(
            outcome.listed().as_deref(),
            Some(r#"[{"key":{"a":"1","b":"x\""},"left_out":true,"row":"missing"}]"#)
        );
        outcome.differing = vec![outcome.differing[0].clone(); 21];
        assert_eq!(
            outcome.told().as_deref(),
            Some(
                "21 differences, the first 20 are listed; 1 keys are left out by repl_skip, see repl_skipped"
            )
        );
    }

    #[test]
    fn what_does_not_count_is_neither_equal_nor_different() {
        let mut outcome = Outcome {
            equal: Some(true),
            ..Outcome::default()
        };
        outcome.reopen("it was copied anew".into());
        assert_eq!(outcome.equal, None);
        assert_eq!(outcome.told().as_deref(), Some("it was copied anew"));
    }
}
