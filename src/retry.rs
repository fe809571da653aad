//! What a failure means for the migration, and how long to wait before the next try. Pure; decided by SQLSTATE, never by
//! message text.

use std::time::Duration;

use crate::failure::Failure;

/// SQLSTATE of the one failure after which replay can no longer bring the target up to date: changes on the source were not
/// captured. Of our own, so that no server's error is taken for it.
pub const MISSED: &str = "DC001";

/// SQLSTATE of a table whose two sides differ so that no row gets across: it goes on by itself when they match.
pub const DRIFT: &str = "DC002";

/// SQLSTATE of a table whose two sides differ so that one row did not get across: likewise, when nothing differs.
pub const MISFIT: &str = "DC003";

/// SQLSTATE of a table without a key that is not on the target what it was on the source: somebody has written to it there.
pub const DIFFERS: &str = "DC004";

/// What the apply worker does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// it will pass: back off, reconnect, go on where the tables say
    Retry,
    /// it concerns the table at hand: that one stops, the others go on
    Quarantine,
    /// nothing can go on before a person has acted
    Stop,
}

/// Class 08 (connection), 53 (resources), 57P (operator intervention, restart), 58 (system error), 40 (serialization,
/// deadlock), 55P03 (lock timeout), 57014 (statement timeout), 25P03 (idle in transaction timeout): PostgreSQL
/// documentation, Appendix A. Class 28 (wrong password) stops: knocking on locks accounts out.
pub fn verdict(failure: &Failure) -> Verdict {
    let state = failure.sqlstate.as_str();
    if failure.disconnected {
        return match &state[..2] {
            "28" | "3D" => Verdict::Stop,
            _ => Verdict::Retry,
        };
    }
    match &state[..2] {
        "08" | "40" | "53" | "57" | "58" => Verdict::Retry,
        "25" if state == "25P03" || state == "25006" => Verdict::Retry,
        "55" if state == "55P03" => Verdict::Retry,
        "22" | "23" | "42" | "0A" | "21" | "44" | "54" | "P0" | "25" => Verdict::Quarantine,
        "XX" | "DC" => Verdict::Quarantine,
        _ => Verdict::Stop,
    }
}

/// What a copy worker does about a task that failed: as above, but what does not pass by waiting alone must not be tried for
/// ever. 53100 is a full disk, 53400 a limit of the server's configuration (temp_file_limit); 57014 somebody who cancels our statements, the provider perhaps.
///
/// `cancelled`: how often that happened to it before.
pub fn copy_verdict(failure: &Failure, cancelled: i64) -> Verdict {
    const MOST_CANCELLED: i64 = 2;
    match failure.sqlstate.as_str() {
        _ if failure.disconnected => Verdict::Retry,
        "53100" | "53400" => Verdict::Quarantine,
        "57014" if cancelled >= MOST_CANCELLED => Verdict::Quarantine,
        _ => verdict(failure),
    }
}

/// With what to do about a table that stopped, if the failure does not say so itself.
pub fn advised(failure: Failure, subscription: &str) -> Failure {
    let theirs = match &failure.hint {
        Some(ours) if ours.contains("repl_") => return failure,
        hint => hint.clone(),
    };
    let mend = match &failure.sqlstate[..2] {
        "DC" => {
            "Make the target's rows those of the source, or copy the table anew, for which there is repl_resync."
        }
        "23" | "44" => {
            "A constraint of the target refuses a row that the source has: compare the table on both sides with \\d and \
             change the target."
        }
        "22" => {
            "A value of the source does not fit the target's column: compare the column's type on both sides with \\d and \
             change the target."
        }
        "42" if failure.sqlstate == "42501" => "A right is missing on the table: GRANT it.",
        "53" => "The target is out of space or memory: make room.",
        "57" => "Somebody cancels our statements on that server: see its log, or ask the provider.",
        "42" => {
            "A table or column was renamed, dropped or changed on one side: compare both with \\d and make them alike."
        }
        _ => "Mend what the error names.",
    };
    let mend = theirs.unwrap_or_else(|| mend.to_owned());
    failure.hint(format!("{mend} Then SELECT repl_resume('{subscription}');"))
}

/// Waiting times that grow: 0.5 s, 1 s, 2 s ... up to 30 s, and from the start again after a success.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    const CAP: Duration = Duration::from_secs(30);

    pub fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(500 << self.tries.min(10)).min(Self::CAP);
        self.tries += 1;
        wait
    }

    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Origin;

    #[test]
    fn what_passes_is_tried_again() {
        for state in [
            "08006", "40001", "40P01", "53300", "55P03", "57P01", "57014", "58030", "25006",
        ] {
            assert_eq!(
                verdict(&Failure::new(state, "x")),
                Verdict::Retry,
                "{state}"
            );
        }
        assert_eq!(
            verdict(&Failure::lost(Origin::Source, "gone")),
            Verdict::Retry
        );
    }

    #[test]
    fn what_concerns_a_table_stops_that_table() {
        for state in ["23505", "23502", "42703", "42501", "22P02", "0A000"] {
            assert_eq!(
                verdict(&Failure::new(state, "x")),
                Verdict::Quarantine,
                "{state}"
            );
        }
    }

    #[test]
    fn a_copy_gives_up_where_waiting_does_not_help() {
        let full = Failure::new("53100", "disk full");
        assert_eq!(copy_verdict(&full, 0), Verdict::Quarantine);
        let cancelled = Failure::new("57014", "canceling statement");
        assert_eq!(copy_verdict(&cancelled, 0), Verdict::Retry);
        assert_eq!(copy_verdict(&cancelled, 2), Verdict::Quarantine);
        let gone = Failure::lost(Origin::Source, "gone");
        assert_eq!(copy_verdict(&gone, 99), Verdict::Retry);
    }

    #[test]
    fn a_wrong_password_is_not_tried_again() {
        let mut refused = Failure::lost(Origin::Source, "password authentication failed");
        refused.sqlstate = "28P01".into();
        assert_eq!(verdict(&refused), Verdict::Stop);
    }

    #[test]
    fn waiting_grows_up_to_the_cap_and_starts_again() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..9).map(|_| backoff.next().as_millis() as u64).collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
        );
        backoff.reset();
        assert_eq!(backoff.next(), Duration::from_millis(500));
    }
}
