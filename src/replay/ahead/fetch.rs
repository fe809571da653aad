//! A fetch: what the source was asked for one batch, taken in as it comes.
//!
//! It is one list and one short transaction that only reads. What comes before anybody can take it is held here, up to a limit;
//! then the source has to wait, as it does for any slow reader.

use std::collections::{HashMap, VecDeque};

use crate::catalog::{self, Snapshot};
use crate::failure::Failure;
use crate::flush;
use crate::libpq::{Came, Connection, Early, Flow};
use crate::meter;
use crate::quote::{array, literal};
use crate::replay::batch::{Trouble, of_table};
use crate::replay::ladder::Mode;
use crate::replay::multiset::{self, Mark};
use crate::replay::part::Part;
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
    pub deltas: Deltas,
    rows: Early,
}

/// Which of its deltas.
pub enum Deltas {
    /// keys, from sealed segments
    Keys { mode: Mode, stretches: Vec<Stretch> },
    /// all that can be seen of a table without a key, which these parts are
    Rows(Vec<Part>),
}

impl Portion {
    pub fn new(plan: usize, deltas: Deltas) -> Self {
        Self {
            plan,
            deltas,
            rows: Early::default(),
        }
    }

    fn parts(&self) -> Vec<Part> {
        match &self.deltas {
            Deltas::Keys { stretches, .. } => stretches.iter().map(|s| s.part.clone()).collect(),
            Deltas::Rows(parts) => parts.clone(),
        }
    }

    fn read(&self, plan: &Plan) -> String {
        match &self.deltas {
            Deltas::Keys { .. } => plan.read(&self.parts()),
            Deltas::Rows(parts) => multiset::read(parts),
        }
    }
}

/// A result with rows, or a COPY and then its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Flushing,
    Mark,
    Truncations,
    Fingerprints,
    /// whether this portion has deltas of unknown partitions
    Unknown(usize),
    /// the COPY of this portion
    Copy(usize),
    RowsOf(usize),
    Files,
    Flushed,
    Poll,
}

pub struct Fetch {
    pub portions: Vec<Portion>,
    /// a truncation is visible, which would have to come first
    pub truncated: bool,
    /// the file each segment is in, by its oid
    pub files: HashMap<u32, i64>,
    /// the snapshot, where there are whole rows
    pub mark: Option<Mark>,
    /// how far the source's log is on its disk
    pub flushed: i64,
    /// what a poll of all tables found in the same snapshot, if it was asked for
    pub polled: Option<Vec<Row>>,
    /// when it was asked, in microseconds since 1970
    pub as_of: i64,
    oids: Vec<u32>,
    /// what comes next
    expected: VecDeque<Next>,
    ended: bool,
}

impl Fetch {
    /// Asks the source. `first`: statements that come before, each a transaction of its own; `truncations`: the query that finds any;
    /// `poll`: asked last.
    pub fn ask(
        source: &mut Connection,
        plans: &[Plan],
        portions: Vec<Portion>,
        first: Vec<String>,
        truncations: String,
        poll: Option<String>,
    ) -> Result<Self, Failure> {
        let oids: Vec<u32> = portions.iter().map(|p| plans[p.plan].oid).collect();
        let whole_rows = |portion: &Portion| matches!(portion.deltas, Deltas::Rows(_));
        let marked = portions.iter().any(whole_rows);
        let mut list = first;
        let mut expected = VecDeque::new();
        let mut ask = |sql: String, next: Next| {
            list.push(sql);
            expected.push_back(next);
        };
        if marked {
            ask(flush::FORCE.to_owned(), Next::Flushing);
        }
        ask(format!("{BEGIN}; {truncations}"), Next::Truncations);
        if marked {
            ask(Mark::READ.to_owned(), Next::Mark);
        }
        ask(catalog::fingerprint_statement(&oids), Next::Fingerprints);
        let mut segments = Vec::new();
        for (at, portion) in portions.iter().enumerate() {
            let plan = &plans[portion.plan];
            let parts = portion.parts();
            segments.extend(parts.iter().map(|part| part.oid.to_string()));
            let unknown = plan.multiset.as_ref().and_then(|m| m.unknown(&parts));
            if let Some(unknown) = unknown {
                ask(unknown, Next::Unknown(at));
            }
            ask(portion.read(plan), Next::Copy(at));
        }
        // after they were read: as long as the transaction lasts nobody can rewrite them
        ask(
            format!(
                "select s.oid::int8 as oid, pg_relation_filenode(s.oid)::int8 as file from unnest({}::oid[]) s(oid)",
                literal(&array(&segments))
            ),
            Next::Files,
        );
        if marked {
            ask(flush::REACHED.to_owned(), Next::Flushed);
        }
        if let Some(poll) = poll {
            ask(poll, Next::Poll);
        }
        list.push("commit".to_owned());
        let as_of = meter::now();
        source.send_list(&list.join(";\n"))?;
        Ok(Self {
            portions,
            truncated: false,
            files: HashMap::new(),
            mark: None,
            flushed: 0,
            polled: None,
            as_of,
            oids,
            expected,
            ended: false,
        })
    }

    /// More may be held.
    pub fn has_room(&self) -> bool {
        let held: usize = self.portions.iter().map(|p| p.rows.held()).sum();
        held < MOST_HELD && !self.ended
    }

    /// Takes in what has come, some of it. False: nothing has.
    pub fn take(
        &mut self,
        source: &mut Connection,
        plans: &[Plan],
        known: &Snapshot,
    ) -> Result<bool, Trouble> {
        let next = self.expected.front().copied();
        let at = match next {
            Some(Next::Unknown(at) | Next::Copy(at) | Next::RowsOf(at)) => Some(at),
            _ => None,
        };
        let plan = at.map(|at| &plans[self.portions[at].plan]);
        let told = |failure| match plan {
            Some(plan) => of_table(failure, plan),
            None => Trouble::from(failure),
        };
        if let Some(Next::RowsOf(at)) = next {
            let rows = &mut self.portions[at].rows;
            let took = rows.take_in(source).map_err(told)?;
            if rows.is_ended() {
                self.expected.pop_front();
            }
            return Ok(took);
        }
        let Some(came) = source.came().map_err(told)? else {
            return Ok(false);
        };
        match (next, came) {
            // statements without results, the COPY before
            (_, Came::Done(_)) => return Ok(true),
            (None, Came::End) => {
                self.ended = true;
                return Ok(true);
            }
            (Some(Next::Copy(at)), Came::CopyOut) => {
                self.expected[0] = Next::RowsOf(at);
                return Ok(true);
            }
            (Some(next), Came::Rows(rows)) => {
                self.answered(next, rows, known, plans).map_err(told)?;
            }
            (next, _) => unreachable!("another result than {next:?}"),
        }
        self.expected.pop_front();
        Ok(true)
    }

    fn answered(
        &mut self,
        next: Next,
        rows: Vec<Row>,
        known: &Snapshot,
        plans: &[Plan],
    ) -> Result<(), Failure> {
        match next {
            Next::Mark => self.mark = rows.first().map(Mark::of),
            Next::Truncations => self.truncated = !rows.is_empty(),
            Next::Fingerprints => known.refuse_others(&rows, &self.oids)?,
            Next::Unknown(at) => multiset::refuse_unknown(&rows, &plans[self.portions[at].plan])?,
            Next::Files => {
                let file = |row: &Row| Some((row.oid("oid"), row.opt_int("file")?));
                self.files = rows.iter().filter_map(file).collect();
            }
            Next::Flushed => self.flushed = flush::reached(&rows),
            Next::Poll => self.polled = Some(rows),
            Next::Flushing => {}
            Next::Copy(_) | Next::RowsOf(_) => unreachable!("a COPY has no rows of that kind"),
        }
        Ok(())
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
        while self.expected.contains(&Next::Truncations) {
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
        let (create, fill) = match &plan.multiset {
            Some(multiset) => (&multiset.create, &multiset.fill),
            None => (&plan.create_stage, &plan.fill_stage),
        };
        let mut begun = false;
        loop {
            let rows = &mut self.portions[at].rows;
            if rows.held() > 0 {
                if !begun {
                    target.batch(create).map_err(told)?;
                    target.begin_copy_in(fill).map_err(told)?;
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
        while !self.ended {
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
        while !self.ended {
            self.more(source, plans, known)?;
            for portion in &mut self.portions {
                portion.rows.drop_held();
            }
        }
        Ok(())
    }
}
