//! What of a dump goes to the target. Pure.

/// Lists for `pg_restore --use-list`.
#[derive(Debug)]
pub struct Lists {
    /// triggers and the comments on them, on which nothing else depends
    pub triggers: String,
    /// everything else, to be made before
    pub rest: String,
}

/// Of `pg_restore --list`, what we want: not event triggers, which would fire on our own work, not comments on
/// extensions, which only their owner may set, and not capture triggers of another subscription on the same source.
pub fn wanted_entries(listing: &str) -> Lists {
    let mut lists = Lists {
        triggers: String::new(),
        rest: String::new(),
    };
    for line in listing.lines() {
        // "3345; 2620 16412 TRIGGER public orders decamp_heroku_insert app"
        let description: Vec<&str> = line.split_whitespace().skip(3).collect();
        let list = match description.as_slice() {
            ["EVENT", "TRIGGER", ..] | ["COMMENT", _, "EXTENSION", ..] => continue,
            ["TRIGGER", rest @ ..] if rest.iter().any(|word| word.starts_with("decamp_")) => {
                continue;
            }
            ["TRIGGER", ..] | ["COMMENT", _, "TRIGGER", ..] => &mut lists.triggers,
            _ => &mut lists.rest,
        };
        list.push_str(line);
        list.push('\n');
    }
    lists
}

/// A script of triggers made so that none fires for what we write, and the statements that make them as they are on the
/// source, for later. `session_replication_role` keeps ordinary triggers quiet, but not those enabled ALWAYS or REPLICA: an
/// audit trigger would write rows of its own beside those that arrive. ALWAYS becomes ordinary, REPLICA (which fires for no
/// application) disabled.
pub fn tamed(script: &[u8]) -> (Vec<u8>, Vec<String>) {
    let mut quiet = Vec::with_capacity(script.len());
    let mut later = Vec::new();
    for line in script.split_inclusive(|byte| *byte == b'\n') {
        match enabling(line) {
            Some((statement, instead)) => {
                quiet.extend_from_slice(instead.as_bytes());
                later.push(statement);
            }
            None => quiet.extend_from_slice(line),
        }
    }
    (quiet, later)
}

/// `ALTER TABLE public.t ENABLE ALWAYS TRIGGER x;`, and the line to take its place.
fn enabling(line: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(line).ok()?.trim_end();
    if !text.starts_with("ALTER TABLE ") || !text.ends_with(';') {
        return None;
    }
    if text.contains(" ENABLE ALWAYS TRIGGER ") {
        return Some((text.to_owned(), "\n".to_owned()));
    }
    let disabled = text.replacen(" ENABLE REPLICA TRIGGER ", " DISABLE TRIGGER ", 1);
    (disabled != text).then(|| (text.to_owned(), disabled + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_are_not_wanted_are_left_out() {
        let listing = "; comment\n\
            3; 2620 16412 TRIGGER public orders decamp_old_insert app\n\
            4; 2620 16413 TRIGGER public orders touch app\n\
            5; 3466 16500 EVENT TRIGGER - ddl app\n\
            6; 0 0 COMMENT - EXTENSION hstore \n\
            7; 1259 16400 TABLE public orders app\n\
            8; 0 0 COMMENT public TRIGGER touch ON orders app\n";
        let lists = wanted_entries(listing);
        assert_eq!(
            lists.rest,
            "; comment\n7; 1259 16400 TABLE public orders app\n"
        );
        let kept: Vec<&str> = lists.triggers.lines().collect();
        assert!(kept.len() == 2 && kept.iter().all(|line| line.contains("touch")));
    }

    #[test]
    fn triggers_that_would_fire_for_us_are_made_quiet() {
        let script = "CREATE TRIGGER a AFTER INSERT ON public.t;\n\n\
            ALTER TABLE public.t ENABLE ALWAYS TRIGGER a;\n\n\
            CREATE TRIGGER r AFTER INSERT ON public.t;\n\n\
            ALTER TABLE public.t ENABLE REPLICA TRIGGER r;\n\
            ALTER TABLE public.t DISABLE TRIGGER d;\n";
        let (quiet, later) = tamed(script.as_bytes());
        let quiet = String::from_utf8(quiet).expect("what was text is text");
        assert_eq!(
            later,
            [
                "ALTER TABLE public.t ENABLE ALWAYS TRIGGER a;",
                "ALTER TABLE public.t ENABLE REPLICA TRIGGER r;"
            ]
        );
        assert!(
            !quiet.contains("ENABLE") && quiet.contains("CREATE TRIGGER a"),
            "{quiet}"
        );
        assert!(
            quiet.contains("public.t DISABLE TRIGGER r;") && quiet.contains("DISABLE TRIGGER d;")
        );
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        let script = b"CREATE FUNCTION f() AS '\xe4\xff';\n-- Name: x\n\xff\n";
        assert_eq!(tamed(script), (script.to_vec(), Vec::new()));
    }
}
