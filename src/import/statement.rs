//! What a statement of a dump makes or changes. Pure. Reads only as much of SQL as pg_dump writes: the first words, and
//! names, which pg_dump always qualifies.

use super::reader::{Name, Reader, part};

/// What kind of thing, as far as it matters whether rows can go on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Schema,
    Extension,
    /// types, domains, collations: what columns are made of
    Type,
    Table,
    Partition,
    PrimaryKey,
    /// a column's default or identity
    Default,
    Sequence,
    Index,
    /// foreign keys, checks, unique and exclusion constraints
    Constraint,
    RowSecurity,
    /// views, functions, triggers, policies, comments and everything else
    Other,
}

/// The thing, and the table it is or belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub kind: Kind,
    /// `table public.orders`, `primary key of table public.orders`
    pub what: String,
    pub table: Option<Name>,
}

pub fn subject(statement: &str) -> Subject {
    let mut text = Reader::new(statement);
    let found = if text.take("CREATE") {
        created(&mut text)
    } else if text.take("ALTER") {
        altered(&mut text)
    } else if text.take("COMMENT") {
        commented(&mut text)
    } else {
        None
    };
    found.unwrap_or_else(|| other(first_line(statement)))
}

/// Words between CREATE and what is created.
const ADJECTIVES: [&str; 11] = [
    "OR",
    "REPLACE",
    "UNLOGGED",
    "UNIQUE",
    "CONSTRAINT",
    "FOREIGN",
    "MATERIALIZED",
    "RECURSIVE",
    "TRUSTED",
    "PROCEDURAL",
    "DEFAULT",
];

fn created(text: &mut Reader) -> Option<Subject> {
    let mut adjectives = Vec::new();
    while let Some(word) = ADJECTIVES.into_iter().find(|word| text.take(word)) {
        adjectives.push(word);
    }
    let noun = text.word()?;
    text.take_all(&["IF", "NOT", "EXISTS"]);
    match noun.as_str() {
        "SCHEMA" => named(Kind::Schema, "schema", text),
        "EXTENSION" => named(Kind::Extension, "extension", text),
        "TYPE" | "DOMAIN" | "COLLATION" => named(Kind::Type, &noun.to_lowercase(), text),
        "SEQUENCE" => named(Kind::Sequence, "sequence", text),
        "TABLE" if adjectives.contains(&"FOREIGN") => named(Kind::Other, "foreign table", text),
        "TABLE" => {
            let table = text.name()?;
            if text.take("PARTITION") && text.take("OF") {
                return Some(partition(&table, text.name()?));
            }
            Some(Subject {
                kind: Kind::Table,
                what: of_table(&table),
                table: Some(table),
            })
        }
        "INDEX" => {
            let index = text.name()?;
            text.take("ON");
            text.take("ONLY");
            Some(belonging(
                Kind::Index,
                &format!("index {}", index.shown()),
                text.name()?,
            ))
        }
        "TRIGGER" => {
            let trigger = text.name()?;
            text.skip_to("ON")?;
            Some(belonging(
                Kind::Other,
                &format!("trigger {}", trigger.shown()),
                text.name()?,
            ))
        }
        "POLICY" | "RULE" => {
            let name = text.name()?;
            text.skip_to(if noun == "POLICY" { "ON" } else { "TO" })?;
            let what = format!("{} {}", noun.to_lowercase(), name.shown());
            Some(belonging(Kind::Other, &what, text.name()?))
        }
        "VIEW" if adjectives.contains(&"MATERIALIZED") => {
            named(Kind::Other, "materialized view", text)
        }
        "VIEW" | "FUNCTION" | "PROCEDURE" | "AGGREGATE" | "LANGUAGE" | "SERVER" | "STATISTICS" => {
            named(Kind::Other, &noun.to_lowercase(), text)
        }
        _ => None,
    }
}

fn altered(text: &mut Reader) -> Option<Subject> {
    match text.word()?.as_str() {
        "TABLE" => {
            text.take_all(&["IF", "EXISTS"]);
            text.take("ONLY");
            let table = text.name()?;
            altered_table(text, table)
        }
        "SEQUENCE" => named(Kind::Sequence, "owner of sequence", text),
        "INDEX" => named(Kind::Index, "partition of index", text),
        "DOMAIN" => named(Kind::Constraint, "constraint of domain", text),
        "TYPE" => named(Kind::Type, "type", text),
        _ => None,
    }
}

fn altered_table(text: &mut Reader, table: Name) -> Option<Subject> {
    if text.take("ADD") && text.take("CONSTRAINT") {
        let name = text.name()?.shown();
        let (kind, noun) = match text.word()?.as_str() {
            "PRIMARY" => return Some(belonging(Kind::PrimaryKey, "primary key", table)),
            "FOREIGN" => (Kind::Constraint, "foreign key"),
            "UNIQUE" => (Kind::Constraint, "unique constraint"),
            "CHECK" => (Kind::Constraint, "check constraint"),
            "EXCLUDE" => (Kind::Constraint, "exclusion constraint"),
            _ => (Kind::Constraint, "constraint"),
        };
        return Some(belonging(kind, &format!("{noun} {name}"), table));
    }
    if text.take("ATTACH") {
        text.take("PARTITION");
        return Some(partition(&text.name()?, table));
    }
    if text.take("ALTER") {
        text.take("COLUMN");
        let column = part(&text.name()?.name);
        let (kind, noun) = if text.take("ADD") {
            (Kind::Default, "identity")
        } else if text.take("SET") && text.take("DEFAULT") {
            (Kind::Default, "default")
        } else {
            (Kind::Other, "setting")
        };
        return Some(belonging(
            kind,
            &format!("{noun} of column {column}"),
            table,
        ));
    }
    if text.take("ENABLE") || text.take("FORCE") || text.take("DISABLE") {
        let row = text.take("ROW");
        let kind = if row { Kind::RowSecurity } else { Kind::Other };
        let what = if row {
            "row security"
        } else {
            "trigger or rule setting"
        };
        return Some(belonging(kind, what, table));
    }
    Some(belonging(Kind::Other, "setting", table))
}

fn commented(text: &mut Reader) -> Option<Subject> {
    if !text.take("ON") {
        return None;
    }
    let noun = text.word()?.to_lowercase();
    let name = text.name()?;
    Some(other(&format!("comment on {noun} {}", name.shown())))
}

fn named(kind: Kind, noun: &str, text: &mut Reader) -> Option<Subject> {
    Some(Subject {
        kind,
        what: format!("{noun} {}", text.name()?.shown()),
        table: None,
    })
}

fn partition(partition: &Name, root: Name) -> Subject {
    belonging(
        Kind::Partition,
        &format!("partition {}", partition.shown()),
        root,
    )
}

fn belonging(kind: Kind, what: &str, table: Name) -> Subject {
    Subject {
        kind,
        what: format!("{what} of {}", of_table(&table)),
        table: Some(table),
    }
}

fn of_table(table: &Name) -> String {
    format!("table {}", table.shown())
}

fn other(what: &str) -> Subject {
    Subject {
        kind: Kind::Other,
        what: what.to_owned(),
        table: None,
    }
}

fn first_line(statement: &str) -> &str {
    let line = statement.trim().lines().next().unwrap_or_default();
    let end = line.char_indices().nth(60).map_or(line.len(), |(at, _)| at);
    line[..end].trim_end_matches([' ', '(', ';'])
}

#[cfg(test)]
mod tests {
    use super::Kind::*;
    use super::*;

    fn kind(statement: &str) -> (Kind, String) {
        let subject = subject(statement);
        (subject.kind, subject.what)
    }

    #[test]
    fn every_kind_of_a_dump_is_told() {
        let told = [
            ("CREATE SCHEMA heroku_ext;", Schema, "schema heroku_ext"),
            (
                "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA heroku_ext;",
                Extension,
                "extension \"uuid-ossp\"",
            ),
            (
                "CREATE TYPE public.mood AS ENUM (\n    'x'\n);",
                Type,
                "type public.mood",
            ),
            (
                "CREATE DOMAIN public.positive AS integer",
                Type,
                "domain public.positive",
            ),
            (
                "CREATE TABLE public.t (\n    a integer\n);",
                Table,
                "table public.t",
            ),
            (
                "CREATE UNLOGGED TABLE public.t (\n",
                Table,
                "table public.t",
            ),
            (
                "CREATE TABLE public.l_1 PARTITION OF public.l\nFOR VALUES IN (1);",
                Partition,
                "partition public.l_1 of table public.l",
            ),
            (
                "ALTER TABLE ONLY public.l ATTACH PARTITION public.l_1 FOR VALUES IN (1);",
                Partition,
                "partition public.l_1 of table public.l",
            ),
            (
                "CREATE FOREIGN TABLE public.f (a integer)\nSERVER s;",
                Other,
                "foreign table public.f",
            ),
            (
                "CREATE SEQUENCE public.s\n    START WITH 1",
                Sequence,
                "sequence public.s",
            ),
            (
                "ALTER SEQUENCE public.s OWNED BY public.t.id;",
                Sequence,
                "owner of sequence public.s",
            ),
            (
                "ALTER TABLE ONLY public.t ALTER COLUMN id SET DEFAULT nextval('public.s'::regclass);",
                Default,
                "default of column id of table public.t",
            ),
            (
                "ALTER TABLE public.t ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (",
                Default,
                "identity of column id of table public.t",
            ),
            (
                "ALTER TABLE ONLY public.t ALTER COLUMN v SET STORAGE EXTERNAL;",
                Other,
                "setting of column v of table public.t",
            ),
            (
                "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id);",
                PrimaryKey,
                "primary key of table public.t",
            ),
            (
                "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_u_fkey FOREIGN KEY (u) REFERENCES public.u(id);",
                Constraint,
                "foreign key t_u_fkey of table public.t",
            ),
            (
                "ALTER TABLE public.t\n    ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID;",
                Constraint,
                "check constraint c of table public.t",
            ),
            (
                "CREATE UNIQUE INDEX i ON ONLY public.t USING btree (a);",
                Index,
                "index i of table public.t",
            ),
            (
                "ALTER INDEX public.i ATTACH PARTITION public.i_1;",
                Index,
                "partition of index public.i",
            ),
            (
                "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;",
                RowSecurity,
                "row security of table public.t",
            ),
            (
                "CREATE VIEW public.v AS\n SELECT 1;",
                Other,
                "view public.v",
            ),
            (
                "CREATE OR REPLACE VIEW public.v AS\n SELECT 1;",
                Other,
                "view public.v",
            ),
            (
                "CREATE MATERIALIZED VIEW public.m AS",
                Other,
                "materialized view public.m",
            ),
            (
                "CREATE FUNCTION public.f(a integer) RETURNS",
                Other,
                "function public.f",
            ),
            (
                "CREATE TRIGGER \"On Update\" BEFORE UPDATE OF \"on\" ON public.t FOR EACH ROW",
                Other,
                "trigger \"On Update\" of table public.t",
            ),
            (
                "CREATE CONSTRAINT TRIGGER c AFTER INSERT ON public.t DEFERRABLE",
                Other,
                "trigger c of table public.t",
            ),
            (
                "CREATE POLICY own ON public.t USING (true);",
                Other,
                "policy own of table public.t",
            ),
            (
                "CREATE RULE r AS\n    ON INSERT TO public.t DO INSTEAD NOTHING;",
                Other,
                "rule r of table public.t",
            ),
            (
                "COMMENT ON TABLE public.t IS 'CREATE TABLE public.x';",
                Other,
                "comment on table public.t",
            ),
            (
                "CREATE OPERATOR public.=== (\n    FUNCTION = f\n);",
                Other,
                "CREATE OPERATOR public.===",
            ),
        ];
        for (statement, expected, what) in told {
            assert_eq!(kind(statement), (expected, what.to_owned()), "{statement}");
        }
    }

    #[test]
    fn names_keep_case_and_quotes() {
        let found = subject("CREATE TABLE \"Mixed Case\".\"odd\"\"table.x\" (");
        let table = found.table.expect("a table's name");
        assert_eq!(table.schema.as_deref(), Some("Mixed Case"));
        assert_eq!(table.name, "odd\"table.x");
        assert_eq!(found.what, "table \"Mixed Case\".\"odd\"\"table.x\"");
    }

    #[test]
    fn what_is_cut_short_is_still_something() {
        assert_eq!(kind("CREATE TABLE").0, Other);
        assert_eq!(kind("").0, Other);
        assert_eq!(kind("CREATE TABLE \"never closed").0, Other);
        assert_eq!(kind("CREATE TRIGGER t BEFORE").0, Other);
    }
}
