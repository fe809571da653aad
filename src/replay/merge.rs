//! Merging: what is in the staging tables goes into the target's tables.

use super::batch::Trouble;
use super::ladder::Mode;
use super::statement::Plan;
use crate::failure::Failure;
use crate::libpq::{Came, Connection};
use crate::relation::Counts;

/// Merges that the target was told to make, in one list without its commit: should we vanish, they are rolled back, and cannot
/// come after those of our successor.
pub struct Merge {
    tables: Vec<Merged>,
}

/// What is staged of a table.
pub enum Staged {
    /// keys with their rows
    Keys(Mode),
    /// of a table without a key: rows that have come; what has become of those that went
    Rows(Counts),
}

struct Merged {
    oid: u32,
    /// results that have not come yet
    left: usize,
    mode: Option<Mode>,
    counts: Counts,
}

impl Merge {
    /// Sends what merges these tables; nothing if there are none.
    pub fn begin<'a>(
        target: &mut Connection,
        staged: impl IntoIterator<Item = (&'a Plan, Staged)>,
    ) -> Result<Self, Failure> {
        let mut statements = Vec::new();
        let mut tables = Vec::new();
        for (plan, staged) in staged {
            let before = statements.len();
            let (mode, counts) = match staged {
                Staged::Keys(mode) => {
                    statements.extend(match mode {
                        Mode::Upsert => [plan.delete_gone.as_str(), &plan.upsert],
                        Mode::Replace | Mode::ReplaceAll => {
                            [plan.delete_all.as_str(), &plan.insert_all]
                        }
                    });
                    (Some(mode), Counts::default())
                }
                Staged::Rows(counts) => {
                    statements.extend(plan.multiset.as_ref().map(|m| m.insert.as_str()));
                    (None, counts)
                }
            };
            tables.push(Merged {
                oid: plan.oid,
                left: statements.len() - before,
                mode,
                counts,
            });
        }
        if !tables.is_empty() {
            target.send_list(&statements.join(";\n"))?;
        }
        Ok(Self { tables })
    }

    /// Takes the results that have come; whether that was the last.
    pub fn take(&mut self, target: &mut Connection) -> Result<bool, Trouble> {
        if self.tables.is_empty() {
            return Ok(true);
        }
        loop {
            let at = self.tables.iter_mut().find(|merged| merged.left > 0);
            let oid = at.as_ref().map(|merged| merged.oid);
            let came = target.came().map_err(|failure| Trouble {
                failure,
                table: oid,
            })?;
            match (came, at) {
                (None, _) => return Ok(false),
                (Some(Came::End), None) => return Ok(true),
                (Some(came), Some(merged)) => merged.count(&came),
                (Some(_), None) => unreachable!("no more results than were asked for"),
            }
        }
    }

    /// Waits for all of them.
    pub fn finish(mut self, target: &mut Connection) -> Result<Vec<(u32, Counts)>, Trouble> {
        while !self.take(target)? {
            target.wait()?;
        }
        Ok(self.counts())
    }

    /// By table.
    pub fn counts(self) -> Vec<(u32, Counts)> {
        self.tables.into_iter().map(|t| (t.oid, t.counts)).collect()
    }
}

impl Merged {
    fn count(&mut self, came: &Came) {
        self.left -= 1;
        let counts = &mut self.counts;
        match (came, self.mode) {
            (Came::Done(gone), Some(Mode::Upsert)) => counts.deleted = *gone,
            (Came::Done(all), _) => counts.inserted = all.saturating_sub(counts.updated),
            (Came::Rows(rows), Some(Mode::Upsert)) => {
                counts.inserted = unsigned(rows[0].int("inserted"));
                counts.updated = unsigned(rows[0].int("updated"));
            }
            (Came::Rows(rows), _) => {
                counts.deleted = unsigned(rows[0].int("deleted"));
                counts.updated = unsigned(rows[0].int("back"));
            }
            (Came::CopyOut | Came::End, _) => unreachable!("no statement of a merge does that"),
        }
    }
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).expect("a count is not negative")
}
