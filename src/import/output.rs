//! What pg_restore prints, understood. Pure.

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

/// Of pg_restore's error output (in the C locale), each refused statement; "already exists" is what a second run says and
/// no failure, and settings that an older target does not know are harmless.
pub fn failed_statements(stderr: &str) -> Vec<Failed> {
    const START: &str = "pg_restore: error: could not execute query: ";
    const COMMAND: &str = "Command was: ";
    let mut failed = Vec::new();
    for part in stderr.split(START).skip(1) {
        let part = part.split("\npg_restore: ").next().unwrap_or(part);
        let (error, statement) = part.split_once(COMMAND).unwrap_or((part, ""));
        let error = error
            .trim()
            .trim_start_matches("ERROR:")
            .trim()
            .replace('\n', " ");
        let statement = statement.trim().to_owned();
        let again =
            error.contains("already exists") || error.contains("multiple primary keys for table");
        let setting =
            statement.starts_with("SET ") && error.contains("unrecognized configuration parameter");
        if !again && !setting {
            failed.push(Failed { error, statement });
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_statements_are_found_and_repeats_are_not() {
        let stderr = "pg_restore: while PROCESSING TOC:\n\
            pg_restore: from TOC entry 2; 3079 16385 EXTENSION postgis (no owner)\n\
            pg_restore: error: could not execute query: ERROR:  could not open extension control file \"x\": No such file\n\
            Command was: CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;\n\n\n\
            pg_restore: from TOC entry 201; 1259 16400 TABLE t app\n\
            pg_restore: error: could not execute query: ERROR:  relation \"t\" already exists\n\
            Command was: CREATE TABLE public.t (\n    id integer\n);\n\n\n\
            pg_restore: warning: errors ignored on restore: 2\n";
        assert_eq!(
            failed_statements(stderr),
            [Failed {
                error: "could not open extension control file \"x\": No such file".into(),
                statement: "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;".into(),
            }]
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
