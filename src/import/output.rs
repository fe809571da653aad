//! What pg_restore and psql print, understood. Pure.

/// A statement the target refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Failed {
    pub error: String,
    pub statement: String,
}

/// Of `pg_restore --list`, what we want: not event triggers, which would fire on our own work, not comments on
/// extensions, which only their owner may set, and not capture triggers of another subscription on the same source.
pub fn wanted_entries(listing: &str) -> String {
    let unwanted = |line: &str| {
        // "3345; 2620 16412 TRIGGER public orders decamp_heroku_insert app"
        let description: Vec<&str> = line.split_whitespace().skip(3).collect();
        match description.as_slice() {
            ["EVENT", "TRIGGER", ..] | ["COMMENT", _, "EXTENSION", ..] => true,
            ["TRIGGER", rest @ ..] => rest.iter().any(|word| word.starts_with("decamp_")),
            _ => false,
        }
    };
    listing
        .lines()
        .filter(|line| !unwanted(line))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Of psql's error output (`--echo-errors`, verbose, C locale), each refused statement. What is there already is what a second
/// run says and no failure; settings and column parameters that this server does not know are of no consequence (an
/// older pg_dump passes on `pg_attver`, which newer minor versions keep among a column's parameters).
pub fn failed_statements(stderr: &str) -> Vec<Failed> {
    let mut failed = Vec::new();
    let mut error: Option<(String, String)> = None;
    for message in messages(stderr) {
        if let Some(text) = message.strip_prefix("ERROR:  ") {
            let first = text.lines().next().unwrap_or_default();
            error = first
                .split_once(": ")
                .map(|(state, text)| (state.to_owned(), text.to_owned()));
        } else if let Some(statement) = message.strip_prefix("STATEMENT:  ")
            && let Some((sqlstate, text)) = error.take()
            && !is_harmless(&sqlstate, statement)
        {
            failed.push(Failed {
                error: format!("{text} (SQLSTATE {sqlstate})"),
                statement: statement.trim().to_owned(),
            });
        }
    }
    failed
}

/// Messages start with `psql:<file>:<line>: ` and may go on over lines.
fn messages(stderr: &str) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for line in stderr.lines() {
        let start = line
            .strip_prefix("psql:")
            .and_then(|rest| rest.split_once(": "));
        match (start, messages.last_mut()) {
            (Some((_, text)), _) => messages.push(text.to_owned()),
            (None, Some(last)) => {
                last.push('\n');
                last.push_str(line);
            }
            (None, None) => {}
        }
    }
    messages
}

/// 42P06, 42P07, 42710, 42723, 42701: schema, table, object, function, column exists already; 42P16: second primary key.
fn is_harmless(sqlstate: &str, statement: &str) -> bool {
    match sqlstate {
        "42P06" | "42P07" | "42710" | "42723" | "42701" => true,
        "42P16" => statement.contains("ADD CONSTRAINT") && statement.contains("PRIMARY KEY"),
        "42704" => statement.starts_with("SET "),
        "22023" => statement.contains(" SET (pg_attver="),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_statements_are_found_and_repeats_are_not() {
        let stderr = "psql:base/pgsql_tmp/x.sql:21: ERROR:  58P01: could not open extension control file \"x\": No such file\n\
            psql:base/pgsql_tmp/x.sql:21: STATEMENT:  CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;\n\
            psql:base/pgsql_tmp/x.sql:21: LOCATION:  parse_extension_control_file, extension.c:500\n\
            psql:base/pgsql_tmp/x.sql:30: NOTICE:  00000: something\n\
            psql:base/pgsql_tmp/x.sql:33: ERROR:  42P07: relation \"t\" already exists\n\
            psql:base/pgsql_tmp/x.sql:33: STATEMENT:  CREATE TABLE public.t (\n    id integer\n);\n\
            psql:base/pgsql_tmp/x.sql:36: ERROR:  22023: unrecognized parameter \"pg_attver\"\n\
            psql:base/pgsql_tmp/x.sql:36: STATEMENT:  ALTER TABLE ONLY public.t ALTER COLUMN id SET (pg_attver=30230160);\n\
            psql:base/pgsql_tmp/x.sql:40: ERROR:  42601: syntax error at or near \"NOT\"\nLINE 2:     a integer, NOT NULL id\n         ^\n\
            psql:base/pgsql_tmp/x.sql:40: STATEMENT:  CREATE TABLE public.c (\n    a integer, NOT NULL id\n);\n";
        let errors: Vec<String> = failed_statements(stderr)
            .into_iter()
            .map(|f| f.error)
            .collect();
        assert_eq!(
            errors,
            [
                "could not open extension control file \"x\": No such file (SQLSTATE 58P01)",
                "syntax error at or near \"NOT\" (SQLSTATE 42601)",
            ]
        );
        assert!(
            failed_statements(stderr)[1]
                .statement
                .ends_with("NOT NULL id\n);")
        );
    }

    #[test]
    fn entries_that_are_not_wanted_are_left_out() {
        let listing = "; comment\n\
            3; 2620 16412 TRIGGER public orders decamp_old_insert app\n\
            4; 2620 16413 TRIGGER public orders touch app\n\
            5; 3466 16500 EVENT TRIGGER - ddl app\n\
            6; 0 0 COMMENT - EXTENSION hstore \n\
            7; 1259 16400 TABLE public orders app\n";
        let kept = wanted_entries(listing);
        assert!(
            kept.contains("touch")
                && kept.contains("TABLE public orders")
                && kept.contains("; comment")
        );
        assert!(
            !kept.contains("decamp_old") && !kept.contains("EVENT") && !kept.contains("hstore")
        );
    }
}
