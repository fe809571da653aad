//! A fetch: what the source was asked for one batch, taken in as it comes.
//!
//! It is one list and one short transaction that only reads. What comes before anybody can take it is held here, up to a limit;
//! then the source has to wait, as it does for any slow reader.

use std::collections::HashMap;

use crate::catalog::{self, Snapshot};
use crate::failure::Failure;
use crate::libpq::{Came, Connection, Early, Flow};
use crate::quote::{array, literal};
use crate::replay::batch::{Trouble, of_table};
use crate::replay::ladder::Mode;
use crate::replay::segments::Stretch;
use crate::replay::statement::Plan;
use crate::row::Row;

/// As much is held. Larger rows come one at a time.
const MOST_HELD: usize = 8 << 20;

const BEGIN: &str = "begin isolation level repeatable read read only; set local lock_timeout = '500ms'; \
    set local max_parallel_workers_per_gather = 0";

/// What is fetched of one table.
pub struct Portion {
    /// which of the plans
    pub plan: usize,
    pub mode: Mode,
    pub stretches: Vec<Stretch>,
    rows: Early,
}

impl Portion {
    pub fn new(plan: usize, mode: Mode, stretches: Vec<Stretch>) -> Self {
        Self {
            plan,
            mode,
            stretches,
            rows: Early::default(),
        }
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Truncations,
    Fingerprints,
    /// the COPY of this portion
    Copy(usize),
    RowsOf(usize),
    Files,
    End,
    Nothing,
}

pub struct Fetch {
    pub portions: Vec<Portion>,
    /// a truncation is visible, which would have to come first
    pub truncated: bool,
    /// the file each segment is in, by its oid
    pub files: HashMap<u32, i64>,
    oids: Vec<u32>,
    next: Next,
}

impl Fetch {
    /// Asks the source. `first`: statements that come before, each a transaction of its own; `truncations`: the query that finds any.
    pub fn ask(
        source: &mut Connection,
        plans: &[Plan],
        portions: Vec<Portion>,
        first: Vec<String>,
        truncations: String,
    ) -> Result<Self, Failure> {
        let oids: Vec<u32> = portions.iter().map(|p| plans[p.plan].oid).collect();
        let mut list = first;
        list.push(BEGIN.to_owned());
        list.push(truncations);
        list.push(catalog::fingerprint_statement(&oids));
        let mut segments = Vec::new();
        for portion in &portions {
            let parts: Vec<_> = portion.stretches.iter().map(|s| s.part.clone()).collect();
            segments.extend(parts.iter().map(|part| part.oid.to_string()));
            list.push(plans[portion.plan].read(&parts));
        }
        // after they were read: as long as the transaction lasts nobody can rewrite them
        list.push(format!(
            "select s.oid::int8 as oid, pg_relation_filenode(s.oid)::int8 as file from unnest({}::oid[]) s(oid)",
            literal(&array(&segments))
        ));
        list.push("commit".to_owned());
        source.send_list(&list.join(";\n"))?;
        Ok(Self {
            portions,
            truncated: false,
            files: HashMap::new(),
            oids,
            next: Next::Truncations,
        })
    }

    /// More may be held.
    pub fn has_room(&self) -> bool {
        let held: usize = self.portions.iter().map(|p| p.rows.held()).sum();
        held < MOST_HELD && self.next != Next::Nothing
    }

    /// Takes in what has come, some of it. False: nothing has.
    pub fn take(
        &mut self,
        source: &mut Connection,
        plans: &[Plan],
        known: &Snapshot,
    ) -> Result<bool, Trouble> {
        let at = match self.next {
            Next::Copy(at) | Next::RowsOf(at) => Some(at),
            _ => None,
        };
        let told = |failure| match at {
            Some(at) => of_table(failure, &plans[self.portions[at].plan]),
            None => Trouble::from(failure),
        };
        if let Next::RowsOf(at) = self.next {
            let rows = &mut self.portions[at].rows;
            let took = rows
                .take_in(source)
                .map_err(|failure| of_table(failure, &plans[self.portions[at].plan]))?;
            if self.portions[at].rows.is_ended() {
                self.next = self.copy(at + 1);
            }
            return Ok(took);
        }
        let Some(came) = source.came().map_err(told)? else {
            return Ok(false);
        };
        match (self.next, came) {
            // statements without results, the COPY before
            (_, Came::Done(_)) => {}
            (Next::Truncations, Came::Rows(rows)) => {
                self.truncated = !rows.is_empty();
                self.next = Next::Fingerprints;
            }
            (Next::Fingerprints, Came::Rows(rows)) => {
                known.refuse_others(&rows, &self.oids)?;
                self.next = self.copy(0);
            }
            (Next::Copy(at), Came::CopyOut) => self.next = Next::RowsOf(at),
            (Next::Files, Came::Rows(rows)) => {
                let file = |row: &Row| Some((row.oid("oid"), row.opt_int("file")?));
                self.files = rows.iter().filter_map(file).collect();
                self.next = Next::End;
            }
            (Next::End, Came::End) => self.next = Next::Nothing,
            (next, _) => unreachable!("another result than {next:?}"),
        }
        Ok(true)
    }

    fn copy(&self, at: usize) -> Next {
        if at < self.portions.len() {
            Next::Copy(at)
        } else {
            Next::Files
        }
    }

    /// Takes in more, waiting for it.
    fn more(
        &mut self,
        source: &mut Connection,
        plans: &[Plan],
        known: &Snapshot,
    ) -> Result<(), Trouble> {
        if !self.take(source, plans, known)? {
            source.wait()?;
        }
        Ok(())
    }

    /// Waits until it is known whether there are truncations.
    pub fn look(
        &mut self,
        source: &mut Connection,
        plans: &[Plan],
        known: &Snapshot,
    ) -> Result<(), Trouble> {
        while self.next == Next::Truncations {
            self.more(source, plans, known)?;
        }
        Ok(())
    }

    /// Carries the rows of a portion into the target's staging table, what was held first; nothing is asked of the target if
    /// there are none.
    pub fn stage(
        &mut self,
        at: usize,
        source: &mut Connection,
        target: &mut Connection,
        plans: &[Plan],
        known: &Snapshot,
    ) -> Result<Flow, Trouble> {
        let plan = &plans[self.portions[at].plan];
        let told = |failure| of_table(failure, plan);
        let mut begun = false;
        loop {
            let rows = &mut self.portions[at].rows;
            if rows.held() > 0 {
                if !begun {
                    target.batch(&plan.create_stage).map_err(told)?;
                    target.begin_copy_in(&plan.fill_stage).map_err(told)?;
                    begun = true;
                }
                rows.hand_on(target).map_err(told)?;
            }
            if rows.is_ended() {
                break;
            }
            self.more(source, plans, known)?;
        }
        let mut flow = Flow {
            rows: 0,
            bytes: self.portions[at].rows.bytes(),
        };
        if begun {
            flow.rows = target.end_copy_in().map_err(told)?;
        }
        Ok(flow)
    }

    /// Waits for the end of the list.
    pub fn finish(
        &mut self,
        source: &mut Connection,
        plans: &[Plan],
        known: &Snapshot,
    ) -> Result<(), Trouble> {
        while self.next != Next::Nothing {
            self.more(source, plans, known)?;
        }
        Ok(())
    }

    /// The same, and nobody wants the rows.
    pub fn discard(
        mut self,
        source: &mut Connection,
        plans: &[Plan],
        known: &Snapshot,
    ) -> Result<(), Trouble> {
        while self.next != Next::Nothing {
            self.more(source, plans, known)?;
            for portion in &mut self.portions {
                portion.rows.drop_held();
            }
        }
        Ok(())
    }
}
