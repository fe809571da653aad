//! Whether the definitions of both sides are the same: tables with their columns, defaults, indexes and constraints; and,
//! of the whole database, sequences, views, functions and extensions. Pure.

use std::collections::BTreeMap;

use super::outcome::Outcome;
use crate::row::Row;
use crate::table::shown;

/// Kinds of objects that get a row each, besides tables.
pub const KINDS: [(&str, &str); 4] = [
    ("sequence", "sequences"),
    ("view", "views"),
    ("function", "functions"),
    ("extension", "extensions"),
];

#[derive(Clone, Debug)]
pub struct Definition {
    kind: String,
    schema: String,
    name: String,
    part: String,
    definition: String,
    /// comparable only between servers of one major version
    text: Option<String>,
}

/// Asks one side for them.
pub const QUESTION: &str = include_str!("../../sql/verify/definitions.sql");

/// The answer.
pub fn read(rows: &[Row]) -> Vec<Definition> {
    let definition = |row: &Row| Definition {
        kind: row.string("kind"),
        schema: row.string("schema"),
        name: row.string("name"),
        part: row.string("part"),
        definition: row.string("definition"),
        text: row.opt("text").map(str::to_owned),
    };
    rows.iter().map(definition).collect()
}

/// Definitions of both sides.
pub struct Definitions {
    pub source: Vec<Definition>,
    pub target: Vec<Definition>,
    /// both servers are of one major version
    pub same_major: bool,
}

impl Definitions {
    pub fn table(&self, schema: &str, name: &str) -> Outcome {
        let of = |all: &'_ [Definition]| {
            self.parts(all, |d| {
                (d.kind == "table" && d.schema == schema && d.name == name).then(|| d.part.clone())
            })
        };
        let (source, target) = (of(&self.source), of(&self.target));
        let mut outcome = Outcome {
            how: "definitions".into(),
            parts: if target.is_empty() {
                vec!["missing on the target".into()]
            } else {
                differences(&source, &target, true)
            },
            ..Outcome::default()
        };
        outcome.equal = Some(outcome.parts.is_empty());
        outcome
    }

    /// Objects of one kind in schemas that are `wanted`. What only the target has is noted, but is no difference.
    pub fn kind(&self, kind: &str, wanted: impl Fn(&str) -> bool) -> Outcome {
        let of = |all: &'_ [Definition]| {
            self.parts(all, |d| {
                (d.kind == kind && (d.schema.is_empty() || wanted(&d.schema))).then(|| object(d))
            })
        };
        let (source, target) = (of(&self.source), of(&self.target));
        let mut outcome = Outcome {
            how: format!("{} definitions", source.len()),
            parts: differences(&source, &target, false),
            ..Outcome::default()
        };
        outcome.equal = Some(outcome.parts.is_empty());
        let extra: Vec<&str> = target
            .keys()
            .filter(|name| !source.contains_key(*name))
            .map(String::as_str)
            .collect();
        if !extra.is_empty() {
            outcome.note(format!("only on the target: {}", extra.join(", ")));
        }
        outcome
    }

    fn parts(
        &self,
        all: &[Definition],
        name: impl Fn(&Definition) -> Option<String>,
    ) -> BTreeMap<String, String> {
        all.iter()
            .filter_map(|d| {
                let text = d.text.as_deref().filter(|_| self.same_major);
                Some((
                    name(d)?,
                    format!("{} {}", d.definition, text.unwrap_or_default()),
                ))
            })
            .collect()
    }
}

fn object(definition: &Definition) -> String {
    match definition.kind.as_str() {
        "extension" => definition.name.clone(),
        "function" => format!("{}.{}", definition.schema, definition.name),
        _ => shown(&definition.schema, &definition.name),
    }
}

/// `both`: what only the target has is a difference too.
fn differences(
    source: &BTreeMap<String, String>,
    target: &BTreeMap<String, String>,
    both: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for (name, definition) in source {
        match target.get(name) {
            None => found.push(format!("{name} is missing on the target")),
            Some(other) if other != definition => found.push(format!("{name} is different")),
            Some(_) => {}
        }
    }
    let extra = target
        .keys()
        .filter(|name| both && !source.contains_key(*name));
    found.extend(extra.map(|name| format!("{name} is only on the target")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(
        kind: &str,
        name: &str,
        part: &str,
        definition: &str,
        text: Option<&str>,
    ) -> Definition {
        Definition {
            kind: kind.into(),
            schema: "public".into(),
            name: name.into(),
            part: part.into(),
            definition: definition.into(),
            text: text.map(str::to_owned),
        }
    }

    #[test]
    fn parts_of_a_table_differ_in_both_directions() {
        let definitions = Definitions {
            source: vec![
                part("table", "t", "column a", "integer default 1", None),
                part("table", "t", "index i", "x", None),
            ],
            target: vec![
                part("table", "t", "column a", "integer default 2", None),
                part("table", "t", "index j", "x", None),
            ],
            same_major: true,
        };
        let outcome = definitions.table("public", "t");
        assert_eq!(outcome.equal, Some(false));
        assert_eq!(
            outcome.parts,
            [
                "column a is different",
                "index i is missing on the target",
                "index j is only on the target"
            ]
        );
        assert_eq!(
            definitions.table("public", "gone").parts,
            ["missing on the target"]
        );
    }

    #[test]
    fn texts_are_compared_within_a_major_version_only() {
        let mut definitions = Definitions {
            source: vec![part("view", "v", "", "a int", Some("select t.a from t"))],
            target: vec![
                part("view", "v", "", "a int", Some("select a from t")),
                part("view", "own", "", "a int", None),
            ],
            same_major: false,
        };
        let outcome = definitions.kind("view", |_| true);
        assert_eq!(outcome.equal, Some(true));
        assert_eq!(
            outcome.told().as_deref(),
            Some("only on the target: public.own")
        );
        definitions.same_major = true;
        assert_eq!(
            definitions.kind("view", |_| true).parts,
            ["public.v is different"]
        );
    }
}
