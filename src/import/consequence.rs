//! What follows from a statement that the target refused: whether rows can go on without what it would have made. Decided by
//! kind. Pure.

use std::collections::{HashMap, HashSet};

use super::output::Refused;
use super::reader::Name;
use super::statement::{Kind, Subject, subject};

/// From the lightest to the gravest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// rows go on, nothing is lost by it
    Slight,
    /// rows go on; the application will miss it
    Switchover,
    /// tables cannot go on without it
    Stops,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Consequence {
    pub weight: Weight,
    /// one line
    pub message: String,
    /// the statement, without passwords
    pub statement: String,
}

/// What the kind of a statement alone does not tell.
#[derive(Default)]
pub struct Known {
    /// schema and name of the target's tables after the import
    pub present: HashSet<(String, String)>,
    /// tables of the source whose columns need an extension, by its name
    pub needed: HashMap<String, Vec<String>>,
    /// the partitioned table, as shown, of each partition of the source by schema and name
    pub roots: HashMap<(String, String), String>,
    /// schema and name of the tables whose own statement was refused
    pub refused: HashSet<(String, String)>,
}

impl Known {
    /// Notes which tables were refused themselves.
    pub fn note(&mut self, refused: &[Refused]) {
        let tables = refused
            .iter()
            .map(|one| subject(&one.statement))
            .filter(|subject| subject.kind == Kind::Table)
            .filter_map(|subject| subject.table);
        self.refused.extend(tables.map(|table| key(&table)));
    }
}

fn key(table: &Name) -> (String, String) {
    (table.schema.clone().unwrap_or_default(), table.name.clone())
}

/// Begins every message: `table public.t refused by the target: ...`.
pub fn opening(what: &str) -> String {
    format!("{what} refused by the target: ")
}

pub fn of(refused: &Refused, known: &Known) -> Consequence {
    let subject = subject(&refused.statement);
    let (weight, mut consequence) = weigh(&subject, known);
    if let Some(table) = subject
        .table
        .as_ref()
        .filter(|_| subject.kind != Kind::Table)
        && known.refused.contains(&key(table))
        && !known.present.contains(&key(table))
    {
        consequence = format!("comes with {} when that is imported", table.shown());
    }
    Consequence {
        weight,
        message: format!(
            "{}{}; {consequence}",
            opening(&subject.what),
            refused.told()
        ),
        statement: without_passwords(&refused.statement),
    }
}

fn weigh(subject: &Subject, known: &Known) -> (Weight, String) {
    let table = || subject.table.as_ref().map(Name::shown).unwrap_or_default();
    let by_hand = "make it by hand before switchover";
    match subject.kind {
        Kind::Schema => (Weight::Stops, "tables in it cannot be made".to_owned()),
        Kind::Type => (
            Weight::Stops,
            "tables that use it cannot be made".to_owned(),
        ),
        Kind::Table => weigh_table(subject.table.as_ref(), known),
        Kind::Partition => (Weight::Stops, stops_for_rows(&table())),
        Kind::PrimaryKey => (
            Weight::Stops,
            format!("{} cannot go on without a key", table()),
        ),
        Kind::Extension => weigh_extension(&subject.what, known),
        Kind::Default => (
            Weight::Switchover,
            format!("rows of {} go on; {by_hand}", table()),
        ),
        Kind::Sequence | Kind::Index | Kind::Constraint | Kind::RowSecurity => {
            (Weight::Switchover, format!("rows go on; {by_hand}"))
        }
        Kind::Other => (Weight::Slight, "rows go on without it".to_owned()),
    }
}

fn weigh_table(table: Option<&Name>, known: &Known) -> (Weight, String) {
    let shown = table.map(Name::shown).unwrap_or_default();
    let key = table.map(key).unwrap_or_default();
    if known.present.contains(&key) {
        let message = "there is one of that name already, which is compared with the source's";
        return (Weight::Slight, message.to_owned());
    }
    match known.roots.get(&key) {
        Some(root) => (Weight::Stops, stops_for_rows(root)),
        None => (
            Weight::Stops,
            format!("{shown} cannot go on before it is made"),
        ),
    }
}

fn stops_for_rows(root: &str) -> String {
    format!("{root} cannot go on when a row comes that belongs into that partition")
}

fn weigh_extension(what: &str, known: &Known) -> (Weight, String) {
    let name = what.trim_start_matches("extension ").trim_matches('"');
    match known.needed.get(name).filter(|tables| !tables.is_empty()) {
        Some(tables) => (
            Weight::Stops,
            format!("tables that use it cannot be made: {}", tables.join(", ")),
        ),
        None => (Weight::Slight, "no table uses it".to_owned()),
    }
}

/// The options of a user mapping are a password.
fn without_passwords(statement: &str) -> String {
    match statement.split_once(" OPTIONS (") {
        Some((mapping, _)) if statement.starts_with("CREATE USER MAPPING") => format!("{mapping};"),
        _ => statement.to_owned(),
    }
}

/// In words: how many statements of each weight, and the gravest.
pub fn summary(consequences: &[Consequence]) -> (Option<Weight>, String) {
    let Some(gravest) = consequences.iter().map(|c| c.weight).max() else {
        return (None, "schema imported".to_owned());
    };
    let count = |weight| consequences.iter().filter(|c| c.weight == weight).count();
    let parts: Vec<String> = [
        (Weight::Stops, "without which tables cannot go on"),
        (Weight::Switchover, "to be made by hand before switchover"),
        (
            Weight::Slight,
            "without which rows go on (views, functions and the like)",
        ),
    ]
    .into_iter()
    .filter(|(weight, _)| count(*weight) > 0)
    .map(|(weight, words)| format!("{} {words}", count(weight)))
    .collect();
    let message = format!(
        "schema imported, except {} that the target refused: {}",
        match consequences.len() {
            1 => "1 statement".to_owned(),
            n => format!("{n} statements"),
        },
        parts.join(", ")
    );
    (Some(gravest), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(statement: &str) -> Refused {
        Refused {
            sqlstate: "42704".into(),
            error: "type \"x\" does not exist".into(),
            statement: statement.into(),
        }
    }

    fn weight(statement: &str) -> Weight {
        of(&refused(statement), &Known::default()).weight
    }

    #[test]
    fn what_rows_need_weighs_most() {
        for statement in [
            "CREATE SCHEMA s;",
            "CREATE TYPE public.t AS (a integer);",
            "CREATE TABLE public.t (",
            "CREATE TABLE public.p PARTITION OF public.t",
            "ALTER TABLE ONLY public.t ATTACH PARTITION public.p",
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (id);",
        ] {
            assert_eq!(weight(statement), Weight::Stops, "{statement}");
        }
        for statement in [
            "CREATE SEQUENCE public.s",
            "ALTER TABLE ONLY public.t ALTER COLUMN a SET DEFAULT 1;",
            "CREATE INDEX i ON public.t USING btree (a);",
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.u(b);",
            "ALTER TABLE public.t\n    ADD CONSTRAINT c CHECK (true);",
            "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;",
        ] {
            assert_eq!(weight(statement), Weight::Switchover, "{statement}");
        }
        for statement in [
            "CREATE VIEW public.v AS SELECT 1;",
            "CREATE FUNCTION public.f() RETURNS integer",
            "CREATE TRIGGER t BEFORE UPDATE ON public.t FOR EACH ROW",
            "CREATE POLICY p ON public.t;",
            "COMMENT ON TABLE public.t IS 'x';",
            "CREATE EXTENSION IF NOT EXISTS x WITH SCHEMA heroku_ext;",
            "SET default_tablespace = fast;",
        ] {
            assert_eq!(weight(statement), Weight::Slight, "{statement}");
        }
    }

    #[test]
    fn messages_name_the_table_and_what_to_do() {
        let message = |statement| of(&refused(statement), &Known::default()).message;
        assert_eq!(
            message("CREATE TABLE public.\"T\" ("),
            "table public.\"T\" refused by the target: type \"x\" does not exist (SQLSTATE 42704); public.\"T\" cannot go on \
             before it is made"
        );
        assert!(
            message("CREATE INDEX i ON public.t USING btree (a);")
                .contains("by hand before switchover")
        );
    }

    #[test]
    fn an_extension_weighs_what_tables_need_it_for() {
        let mut known = Known::default();
        known
            .needed
            .insert("uuid-ossp".into(), vec!["public.t".into()]);
        let of = |name: &str| {
            of(
                &refused(&format!(
                    "CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA e;"
                )),
                &known,
            )
        };
        assert_eq!(of("\"uuid-ossp\"").weight, Weight::Stops);
        assert!(of("\"uuid-ossp\"").message.ends_with("public.t"));
        assert_eq!(of("other").weight, Weight::Slight);
    }

    #[test]
    fn a_table_that_is_there_is_not_missed() {
        let mut known = Known::default();
        known.present.insert(("public".into(), "t".into()));
        assert_eq!(
            of(&refused("CREATE TABLE public.t ("), &known).weight,
            Weight::Slight
        );
        assert_eq!(
            of(&refused("CREATE TABLE public.u ("), &known).weight,
            Weight::Stops
        );
    }

    #[test]
    fn what_belongs_to_a_refused_table_comes_with_it() {
        let table = refused("CREATE TABLE public.t (");
        let mut known = Known::default();
        known.note(&[table]);
        let told = |statement| of(&refused(statement), &known);
        let key = told("ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (id);");
        assert_eq!(key.weight, Weight::Stops);
        assert!(
            key.message
                .ends_with("; comes with public.t when that is imported"),
            "{}",
            key.message
        );
        assert!(
            told("CREATE TABLE public.t (")
                .message
                .ends_with("before it is made")
        );
        assert!(
            told("CREATE INDEX i ON public.u USING btree (a);")
                .message
                .ends_with("before switchover")
        );
    }

    #[test]
    fn a_partition_names_its_table() {
        let mut known = Known::default();
        known
            .roots
            .insert(("public".into(), "log_1".into()), "public.log".into());
        let told = of(&refused("CREATE TABLE public.log_1 ("), &known);
        assert_eq!(told.weight, Weight::Stops);
        assert!(
            told.message.contains("; public.log cannot go on when"),
            "{}",
            told.message
        );
    }

    #[test]
    fn passwords_are_left_out() {
        let mapping =
            refused("CREATE USER MAPPING FOR app SERVER s OPTIONS (\n    password 'secret'\n);");
        let told = of(&mapping, &Known::default());
        assert_eq!(told.statement, "CREATE USER MAPPING FOR app SERVER s;");
        assert!(!told.message.contains("secret"));
    }

    #[test]
    fn the_summary_counts_each_weight() {
        let all: Vec<Consequence> = [
            "CREATE TABLE public.t (",
            "CREATE VIEW public.v",
            "CREATE VIEW public.w",
        ]
        .iter()
        .map(|statement| of(&refused(statement), &Known::default()))
        .collect();
        let (gravest, text) = summary(&all);
        assert_eq!(gravest, Some(Weight::Stops));
        assert!(
            text.contains("3 statements") && text.contains("1 without which tables"),
            "{text}"
        );
        assert!(
            text.contains("2 without which rows go on") && !text.contains("by hand"),
            "{text}"
        );
        assert_eq!(summary(&[]), (None, "schema imported".to_owned()));
    }
}
