//! Which of the source's tables a subscription takes, and why it cannot take others. Pure.

use crate::failure::Failure;
use crate::pattern::Pattern;
use crate::table::{Kind, Table};

/// The user's choice: patterns to take (`None`: every user table) and to leave out.
#[derive(Debug, Default)]
pub struct Choice {
    tables: Option<Vec<Pattern>>,
    exclude: Vec<Pattern>,
}

/// Schemas of a provider, not of the user: Heroku puts its extensions there.
const PROVIDER_SCHEMAS: [&str; 2] = ["heroku_ext", "_heroku"];

impl Choice {
    /// Errors: 22023 for a malformed pattern or an empty list.
    pub fn parse(tables: Option<&[String]>, exclude: Option<&[String]>) -> Result<Self, Failure> {
        if tables.is_some_and(<[String]>::is_empty) {
            return Err(
                Failure::new("22023", "argument \"tables\" is an empty array")
                    .hint("Leave it out (or NULL) to take every table."),
            );
        }
        Ok(Self {
            tables: tables.map(Pattern::parse_all).transpose()?,
            exclude: exclude
                .map(Pattern::parse_all)
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// Whether a name is wanted.
    pub fn wants(&self, schema: &str, name: &str) -> bool {
        self.takes(schema, name) && !self.excludes(schema, name)
    }

    /// Whether a name is left out.
    pub fn excludes(&self, schema: &str, name: &str) -> bool {
        self.exclude.iter().any(|p| p.matches(schema, name))
    }

    /// Whether it would be, were it not for `exclude`.
    fn takes(&self, schema: &str, name: &str) -> bool {
        match &self.tables {
            None => !PROVIDER_SCHEMAS.contains(&schema),
            Some(patterns) => patterns.iter().any(|p| p.matches(schema, name)),
        }
    }

    /// Patterns that match no table at all: typing errors, most likely.
    pub fn unmatched<'a>(&'a self, tables: &'a [Table]) -> impl Iterator<Item = &'a str> {
        self.tables
            .iter()
            .flatten()
            .filter(|p| !tables.iter().any(|t| p.matches(&t.schema, &t.name)))
            .map(Pattern::text)
    }
}

/// A table that is wanted but cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Obstacle {
    Foreign,
    /// wanted without its partitioned parent
    LonePartition,
    NotOwned,
    NotSelectable,
    RowSecurity,
}

impl Obstacle {
    /// The end of a sentence about the table.
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Foreign => ", and its rows are on another server",
            Self::LonePartition => ", and its partitioned parent is not followed",
            Self::NotOwned => ", and our role does not own it",
            Self::NotSelectable => ", and our role may not read it",
            Self::RowSecurity => ", and its policies hide rows from our role",
        }
    }

    pub fn of(table: &Table) -> Option<Self> {
        if table.kind == Kind::Foreign {
            Some(Self::Foreign)
        } else if !table.owned {
            Some(Self::NotOwned)
        } else if !table.selectable {
            Some(Self::NotSelectable)
        } else if table.row_security {
            Some(Self::RowSecurity)
        } else {
            None
        }
    }
}

#[derive(Debug, Default)]
pub struct Selection<'a> {
    pub taken: Vec<&'a Table>,
    pub obstacles: Vec<(&'a Table, Obstacle)>,
}

/// Sorts the source's tables. Partitions go with their root; foreign tables only count as an obstacle when named.
pub fn select<'a>(tables: &'a [Table], choice: &Choice) -> Selection<'a> {
    let mut selection = Selection::default();
    for table in tables.iter().filter(|t| choice.wants(&t.schema, &t.name)) {
        if let Some(root) = table.root {
            // wanted or excluded, a root stands for its partitions
            let with_root = tables
                .iter()
                .any(|t| t.oid == root && choice.takes(&t.schema, &t.name));
            if !with_root {
                selection.obstacles.push((table, Obstacle::LonePartition));
            }
            continue;
        }
        match Obstacle::of(table) {
            None => selection.taken.push(table),
            Some(Obstacle::Foreign) if choice.tables.is_none() => {}
            Some(obstacle) => selection.obstacles.push((table, obstacle)),
        }
    }
    selection
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(oid: u32, schema: &str, name: &str) -> Table {
        Table {
            oid,
            schema: schema.into(),
            name: name.into(),
            ..Table::sample()
        }
    }

    fn choice(tables: Option<&[&str]>, exclude: &[&str]) -> Choice {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        Choice::parse(tables.map(own).as_deref(), Some(&own(exclude))).expect("valid patterns")
    }

    fn names(selection: &Selection) -> Vec<String> {
        selection.taken.iter().map(|t| t.shown()).collect()
    }

    #[test]
    fn everything_but_the_excluded() {
        let tables = [
            table(1, "public", "a"),
            table(2, "public", "log"),
            table(3, "heroku_ext", "x"),
        ];
        assert_eq!(
            names(&select(&tables, &choice(None, &["public.log"]))),
            ["public.a"]
        );
    }

    #[test]
    fn partitions_follow_their_root() {
        let mut root = table(1, "public", "events");
        root.kind = Kind::Partitioned;
        let mut leaf = table(2, "public", "events_2024");
        leaf.root = Some(1);
        let tables = [root, leaf];
        assert_eq!(
            names(&select(&tables, &choice(None, &[]))),
            ["public.events"]
        );
        let without = select(&tables, &choice(None, &["public.events"]));
        assert!(without.taken.is_empty() && without.obstacles.is_empty());
        let alone = select(&tables, &choice(Some(&["events_*"]), &[]));
        assert_eq!(alone.obstacles[0].1, Obstacle::LonePartition);
    }

    #[test]
    fn foreign_tables_are_named() {
        let mut closed = table(1, "public", "k");
        closed.selectable = false;
        let mut foreign = table(2, "public", "f");
        foreign.kind = Kind::Foreign;
        let tables = [closed, foreign];
        let all = select(&tables, &choice(None, &[]));
        assert_eq!(all.obstacles.len(), 1);
        assert_eq!(all.obstacles[0].1, Obstacle::NotSelectable);
        assert_eq!(
            select(&tables, &choice(Some(&["*"]), &[])).obstacles.len(),
            2
        );
    }

    #[test]
    fn patterns_without_a_match_are_told() {
        let tables = [table(1, "public", "a")];
        let typo = choice(Some(&["public.a", "publik.*"]), &[]);
        assert_eq!(typo.unmatched(&tables).collect::<Vec<_>>(), ["publik.*"]);
        assert_eq!(
            Choice::parse(Some(&[]), None).expect_err("empty").sqlstate,
            "22023"
        );
    }
}
