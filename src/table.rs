//! What a user's table looks like, on either side. Pure.

use crate::quote;

/// How changes are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// statement-level triggers with transition tables
    Statement,
    /// row-level triggers: partitioned tables, members of an inheritance tree
    Row,
}

impl Capture {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Row => "row",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ordinary,
    Partitioned,
    Foreign,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub kind: Kind,
    pub unlogged: bool,
    /// topmost partitioned parent, for a partition
    pub root: Option<u32>,
    /// part of an old-style inheritance tree
    pub inherits: bool,
    /// our role may act as its owner
    pub owned: bool,
    pub owner: String,
    pub selectable: bool,
    /// policies would hide rows from our role
    pub row_security: bool,
    pub bytes: i64,
    pub rows_estimate: i64,
    pub columns: Vec<Column>,
    /// name of the primary key's constraint
    pub primary_key: Option<String>,
    /// empty: keyless
    pub key: Vec<KeyColumn>,
    /// the key's constraint is deferrable: no ON CONFLICT on it
    pub deferrable_key: bool,
    /// a rule on UPDATE, even a disabled one: no ON CONFLICT at all
    pub update_rule: bool,
}

#[derive(Clone, Debug)]
pub struct Column {
    /// stays the same when the column is renamed
    pub attnum: i64,
    pub name: String,
    /// as declared
    pub type_name: String,
    /// with domains resolved
    pub base_type: String,
    pub not_null: bool,
    pub has_default: bool,
    pub generated: bool,
    pub identity_always: bool,
}

#[derive(Clone, Debug)]
pub struct KeyColumn {
    pub name: String,
    /// the operator of the key's index, qualified: `operator(pg_catalog.=)`
    pub equality: String,
}

impl Table {
    /// Quoted and qualified.
    pub fn qualified(&self) -> String {
        quote::qualified(&self.schema, &self.name)
    }

    /// As people write it, for messages.
    pub fn shown(&self) -> String {
        shown(&self.schema, &self.name)
    }

    /// For FROM, DELETE, LOCK: without the children of an inheritance parent, with the partitions of a partitioned table.
    pub fn only(&self) -> String {
        match self.kind {
            Kind::Partitioned => self.qualified(),
            Kind::Ordinary | Kind::Foreign => format!("only {}", self.qualified()),
        }
    }

    pub fn capture(&self) -> Capture {
        if self.kind == Kind::Partitioned || self.inherits || self.root.is_some() {
            Capture::Row
        } else {
            Capture::Statement
        }
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The columns that carry data: all but the generated ones.
    pub fn stored(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| !c.generated)
    }
}

/// `schema.name` for messages, quoted where it would be ambiguous.
pub fn shown(schema: &str, name: &str) -> String {
    let part = |s: &str| {
        let plain = s
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && !s.is_empty()
            && !s.starts_with(|c: char| c.is_ascii_digit());
        if plain { s.to_owned() } else { quote::ident(s) }
    };
    format!("{}.{}", part(schema), part(name))
}

/// A type, as `format_type` names it, without length, precision and fields.
pub fn plain_type(base_type: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0;
    for c in base_type.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    match plain.strip_suffix("[]") {
        Some(_) if plain.starts_with("interval") => "interval[]".to_owned(),
        None if plain.starts_with("interval") => "interval".to_owned(),
        _ => plain,
    }
}

#[cfg(test)]
impl Table {
    /// An ordinary table `public.t` with the key column `id`, for tests to change.
    pub fn sample() -> Self {
        Self {
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            kind: Kind::Ordinary,
            unlogged: false,
            root: None,
            inherits: false,
            owned: true,
            owner: "app".into(),
            selectable: true,
            row_security: false,
            bytes: 0,
            rows_estimate: 0,
            columns: Vec::new(),
            primary_key: None,
            key: vec![KeyColumn {
                name: "id".into(),
                equality: "operator(pg_catalog.=)".into(),
            }],
            deferrable_key: false,
            update_rule: false,
        }
    }
}
