//! What psql says about statements that the target refused. Pure.

/// A statement the target refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub sqlstate: String,
    pub error: String,
    pub statement: String,
}

impl Refused {
    /// The error with its SQLSTATE.
    pub fn told(&self) -> String {
        format!("{} (SQLSTATE {})", self.error, self.sqlstate)
    }
}

/// Of psql's error output (`--echo-errors`, verbose) while it ran these scripts, each refused statement. What is there
/// already is what a second run says and no failure; settings and column parameters that this server does not know are of
/// no consequence (an older pg_dump passes on `pg_attver`, which newer minor versions keep among a column's parameters).
///
/// An error is known by its SQLSTATE: the word before it is in the server's language.
pub fn refused_statements(stderr: &str, scripts: &[&str]) -> Vec<Refused> {
    let mut refused = Vec::new();
    let mut error: Option<(String, String)> = None;
    for message in messages(stderr, scripts) {
        if let Some(statement) = message.strip_prefix("STATEMENT:  ") {
            if let Some((sqlstate, error)) = error.take()
                && !is_harmless(&sqlstate, statement)
            {
                refused.push(Refused {
                    sqlstate,
                    error,
                    statement: statement.trim().to_owned(),
                });
            }
        } else if let Some(found) = first_error(&message) {
            error = Some(found);
        }
    }
    refused
}

/// SQLSTATE and text of `ERROR:  42704: type "x" does not exist`. Classes 00, 01 and 02 are no errors.
fn first_error(message: &str) -> Option<(String, String)> {
    let (_severity, rest) = message.lines().next()?.split_once(":  ")?;
    let (sqlstate, text) = rest.split_once(": ")?;
    let is_state = sqlstate.len() == 5 && sqlstate.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_error = is_state && !matches!(&sqlstate[..2], "00" | "01" | "02");
    is_error.then(|| (sqlstate.to_owned(), text.to_owned()))
}

/// Messages start with `psql:<script>:<line>: ` and may go on over lines.
fn messages(stderr: &str, scripts: &[&str]) -> Vec<String> {
    let start = |line: &str| {
        let rest = line.strip_prefix("psql:")?;
        let rest = scripts.iter().find_map(|script| rest.strip_prefix(script));
        let (number, text) = rest?.strip_prefix(':')?.split_once(": ")?;
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.to_owned())
    };
    let mut messages: Vec<String> = Vec::new();
    for line in stderr.lines() {
        match (start(line), messages.last_mut()) {
            (Some(text), _) => messages.push(text),
            (None, Some(last)) => {
                last.push('\n');
                last.push_str(line);
            }
            (None, None) => {}
        }
    }
    messages
}

/// What a second run is refused because the first one has made it. 42P06, 42P07, 42710, 42723, 42701: schema, table, object,
/// function, column exists already; 42P16: second primary key; 42809: is a partition already; 55000: is an identity column
/// already; 23505: the catalog's own index, for a text search configuration.
fn is_harmless(sqlstate: &str, statement: &str) -> bool {
    match sqlstate {
        "42P06" | "42P07" | "42710" | "42723" | "42701" => true,
        "42P16" => statement.contains("ADD CONSTRAINT") && statement.contains("PRIMARY KEY"),
        "42809" => statement.starts_with("ALTER TABLE") && statement.contains(" ATTACH PARTITION "),
        "55000" => statement.starts_with("ALTER TABLE") && statement.contains(" ADD GENERATED "),
        "23505" => statement.contains(" TEXT SEARCH "),
        "42704" => statement.starts_with("SET "),
        "22023" => statement.contains(" SET (pg_attver="),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "base/pgsql_tmp/x.sql";

    fn refused(lines: &[&str]) -> Vec<Refused> {
        refused_statements(
            &lines.join("\n").replace("@", &format!("psql:{SCRIPT}:")),
            &["other.sql", SCRIPT],
        )
    }

    #[test]
    fn refused_statements_are_found_and_existing_objects_are_not() {
        let found = refused(&[
            "ERROR:  42704: unrecognized configuration parameter \"client_connection_check_interval\"",
            "STATEMENT:  SET client_connection_check_interval = '1s'",
            "@21: ERROR:  0A000: extension \"x\" is not available",
            "DETAIL:  Could not open extension control file \"x.control\": No such file or directory.",
            "HINT:  The extension must first be installed on the system where PostgreSQL is running.",
            "LOCATION:  parse_extension_control_file, extension.c:671",
            "@21: STATEMENT:  CREATE EXTENSION IF NOT EXISTS x WITH SCHEMA public;",
            "@30: NOTICE:  00000: something",
            "@33: ERROR:  42P07: relation \"t\" already exists",
            "@33: STATEMENT:  CREATE TABLE public.t (\n    id integer\n);",
            "@36: ERROR:  22023: unrecognized parameter \"pg_attver\"",
            "@36: STATEMENT:  ALTER TABLE ONLY public.t ALTER COLUMN id SET (pg_attver=30230160);",
            "@40: ERROR:  42601: syntax error at or near \"NOT\"\nLINE 2:     a integer, NOT NULL id\n         ^",
            "@40: STATEMENT:  CREATE TABLE public.c (\n    a integer, NOT NULL id\n);",
        ]);
        let told: Vec<String> = found.iter().map(Refused::told).collect();
        assert_eq!(
            told,
            [
                "extension \"x\" is not available (SQLSTATE 0A000)",
                "syntax error at or near \"NOT\" (SQLSTATE 42601)",
            ]
        );
        assert!(found[1].statement.ends_with("NOT NULL id\n);"));
    }

    #[test]
    fn a_statement_that_looks_like_a_message_is_a_statement() {
        let found = refused(&[
            "@18: ERROR:  42P01: relation \"z\" does not exist",
            "@18: STATEMENT:  COMMENT ON TABLE public.z IS 'a",
            "psql:another.sql:1: ERROR:  42704: not this",
            "psql:x: STATEMENT:  nor this",
            "';",
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].statement.ends_with("nor this\n';"), "{found:?}");
    }

    #[test]
    fn errors_are_known_in_any_language() {
        let found = refused(&[
            "@3: FEHLER:  42704: Typ »x« existiert nicht",
            "@3: STATEMENT:  CREATE TABLE public.t (a public.x);",
        ]);
        assert_eq!(found[0].told(), "Typ »x« existiert nicht (SQLSTATE 42704)");
    }

    #[test]
    fn what_a_second_run_says_is_harmless() {
        let harmless = [
            ("42P06", "CREATE SCHEMA s;"),
            ("42710", "CREATE TRIGGER t BEFORE UPDATE ON public.t"),
            (
                "42P16",
                "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id);",
            ),
            (
                "42809",
                "ALTER TABLE ONLY public.l ATTACH PARTITION public.l_1 DEFAULT;",
            ),
            (
                "55000",
                "ALTER TABLE public.t ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (",
            ),
            ("23505", "CREATE TEXT SEARCH CONFIGURATION public.c ("),
            (
                "23505",
                "ALTER TEXT SEARCH CONFIGURATION public.c\n    ADD MAPPING FOR word WITH simple;",
            ),
        ];
        for (sqlstate, statement) in harmless {
            assert!(is_harmless(sqlstate, statement), "{sqlstate} {statement}");
        }
        for (sqlstate, statement) in [
            ("42809", "CREATE VIEW public.v AS SELECT 1;"),
            ("55000", "CREATE INDEX i ON public.t (a);"),
            ("23505", "CREATE UNIQUE INDEX i ON public.t (a);"),
            ("42P16", "CREATE TABLE public.t ("),
            ("42704", "CREATE TABLE public.t (a public.x);"),
        ] {
            assert!(!is_harmless(sqlstate, statement), "{sqlstate} {statement}");
        }
    }
}
