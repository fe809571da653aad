//! `verify => 'checksum'`. Before the fence the verification that repl_verify does, while the application writes. Behind it, of
//! what was equal then only tables of which rows were replayed since are looked at: summed up, the quickest first, while there is
//! time; those that are left are told, with how much was replayed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Errand;
use super::moves::Moves;
use super::tally::Tally;
use crate::failure::Failure;
use crate::pg::xact;
use crate::quote::literal;
use crate::relation::{self, Relation};
use crate::table::Table;
use crate::verify::{self, Line, Mode, Request, Sums};

/// Tables that change too fast to be compared while they do are compared behind the fence, if that takes no more than this part
/// of max_downtime.
const DOUBTED: u32 = 4;
const SHOWN: usize = 5;

struct Proven {
    source: Table,
    target: Table,
    /// what replay had done before its rows were read; `None`: an earlier call has read them
    equal_at: Option<Moves>,
    /// it changed too fast, and is to be compared behind the fence
    doubted: bool,
    takes: Duration,
    place: Place,
}

/// Where a table was compared last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Behind,
    /// before, and so many rows were replayed since, if that is known
    Left(Option<i64>),
}

pub(super) struct Proof {
    tables: Vec<Proven>,
    sums: Sums,
}

impl Proof {
    pub(super) fn told_before(&self) -> String {
        let doubted = self.tables.iter().filter(|t| t.doubted).count();
        let equal = self.tables.len() - doubted;
        let mut more = String::new();
        if doubted > 0 {
            more += &format!("; {doubted} changed too fast and are compared behind the fence");
        }
        let earlier = self.tables.iter().filter(|t| t.equal_at.is_none()).count();
        if earlier > 0 {
            more += &format!("; {earlier} were compared by a call that was interrupted");
        }
        format!("{equal} tables are equal, all rows and values compared{more}")
    }

    pub(super) fn told_behind(&self) -> String {
        let at = |place| self.tables.iter().filter(|t| t.place == place).count();
        let mut left: Vec<(&Proven, Option<i64>)> = self
            .tables
            .iter()
            .filter_map(|table| match table.place {
                Place::Left(replayed) => Some((table, replayed)),
                _ => None,
            })
            .collect();
        left.sort_by_key(|(_, replayed)| std::cmp::Reverse(*replayed));
        let listed: Vec<String> = left
            .iter()
            .take(SHOWN)
            .map(|(table, replayed)| {
                let replayed = replayed.map_or("unknown".to_owned(), |n| n.to_string());
                format!("{} {replayed}", table.source.shown())
            })
            .collect();
        let more = match left.len() {
            0 => String::new(),
            n => format!(
                "; {n} had before it, and what was replayed since is not compared, for lack of time (rows: {}{})",
                listed.join(", "),
                if n > SHOWN { ", ..." } else { "" }
            ),
        };
        format!(
            "{} tables have equal rows behind the fence, {} had before it and nothing was replayed into them since{more}",
            at(Place::Behind),
            at(Place::Before)
        )
    }

    /// How long all of it, and what must be compared behind the fence, take there.
    pub(super) fn expected(&self) -> (Duration, Duration) {
        let doubted = self.tables.iter().filter(|t| t.doubted);
        (
            self.tables.iter().map(|t| t.takes).sum(),
            doubted.map(|t| t.takes).sum(),
        )
    }
}

impl Errand {
    pub(super) fn verify_before(&mut self, max_downtime: Duration) -> Result<Proof, Failure> {
        // it may take hours, and has sessions of its own
        (self.source, self.target) = (None, None);
        let mut relations = self.relations.clone();
        relations.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        let request = Request {
            subscription: &self.subscription,
            relations,
            tables: None,
            mode: Mode::Checksum,
            repair: false,
        };
        let mut moves = HashMap::new();
        let lines = verify::run(&request, |relation| {
            moves.extend(self.all_moves()?.remove_entry(&relation.oid));
            Ok(())
        })?;
        let mut verified: HashMap<u32, Line> = request
            .relations
            .iter()
            .map(|relation| relation.oid)
            .zip(lines)
            .collect();
        self.look_again(&mut verified)?;
        // before it is judged: there may be another reason
        self.check(max_downtime)?;
        self.refuse_different(&verified)?;
        let sums = Sums::open(&self.subscription)?;
        let mut tables = Vec::new();
        for (source, target) in self.counterparts()? {
            let line = &verified[&source.oid];
            tables.push(Proven {
                equal_at: moves.remove(&source.oid),
                doubted: line.equal.is_none(),
                takes: line.summing.unwrap_or_default(),
                place: Place::Before,
                source,
                target,
            });
        }
        let proof = Proof { tables, sums };
        let (_, doubted) = proof.expected();
        if doubted <= max_downtime / DOUBTED {
            return Ok(proof);
        }
        let unknown = by_name(&verified).filter(|line| line.equal.is_none());
        Err(Failure::new(
            "55000",
            format!(
                "rows that change too fast cannot be compared: {}; comparing them behind the fence would take {:.1} s, too much of \
                 max_downtime",
                with_notes(unknown),
                doubted.as_secs_f64()
            ),
        )
        .hint("Call it again when less is written, with a longer max_downtime, or with verify => 'count'."))
    }

    /// Tables may have come and gone meanwhile.
    fn look_again(&mut self, verified: &mut HashMap<u32, Line>) -> Result<(), Failure> {
        let id = self.subscription.id;
        self.relations = xact::run(|| Ok(relation::of(id)))?;
        self.tables.clear();
        verified.retain(|oid, _| self.relations.iter().any(|r| r.oid == *oid));
        let come = self
            .relations
            .iter()
            .find(|r| !verified.contains_key(&r.oid));
        match come.map(Relation::shown) {
            None => Ok(()),
            Some(table) => Err(Failure::new(
                "55000",
                format!("table {table} was added while the others were compared"),
            )
            .hint("Call it again.")),
        }
    }

    /// Errors: 55000 when a table is not equal, or was not read.
    fn refuse_different(&self, verified: &HashMap<u32, Line>) -> Result<(), Failure> {
        let tables: Vec<&str> = by_name(verified)
            .filter(|line| line.equal == Some(false))
            .map(|line| line.table.as_str())
            .collect();
        let name = &self.subscription.name;
        if tables.is_empty() {
            let mut unread = by_name(verified)
                .filter(|line| line.equal.is_none() && line.summing.is_none())
                .peekable();
            if unread.peek().is_none() {
                return Ok(());
            }
            return Err(Failure::new(
                "55000",
                format!("not all tables could be compared: {}", with_notes(unread)),
            )
            .hint(format!(
                "SELECT * FROM repl_verifications WHERE subscription = '{name}'; tells more. Once mended, call it again."
            )));
        }
        let chosen: Vec<String> = tables
            .iter()
            .map(|table| literal(table).trim().to_owned())
            .collect();
        let chosen = if tables.len() > SHOWN {
            String::new()
        } else {
            format!(", tables => array[{}]", chosen.join(", "))
        };
        Err(Failure::new(
            "55000",
            format!(
                "{} of {} tables differ on the target: {}",
                tables.len(),
                verified.len(),
                shown(&tables)
            ),
        )
        .hint(format!(
            "Did somebody else write to the target? SELECT * FROM repl_verifications WHERE subscription = '{name}' AND NOT equal; \
             lists keys. SELECT * FROM repl_verify('{name}'{chosen}, repair => true); delivers them anew. Then call it again."
        )))
    }

    /// Behind the fence, drained: sums up what has moved since, for so long at most. Called again it looks at what has moved
    /// since the call before. What is compared here is counted as well. `last`: a difference is one.
    pub(super) fn settle_sums(
        &mut self,
        proof: &mut Proof,
        tally: &mut Tally,
        budget: Duration,
        last: bool,
    ) -> Result<(), Failure> {
        let now = self.all_moves()?;
        let mut moved: Vec<&mut Proven> = proof
            .tables
            .iter_mut()
            .filter(|t| t.doubted || t.equal_at.as_ref() != now.get(&t.source.oid))
            .collect();
        // what must be compared, then what is quick
        moved.sort_by_key(|t| (!t.doubted, t.takes));
        for table in moved {
            let moves = now.get(&table.source.oid);
            if !table.doubted && tally.spent + table.takes > budget {
                let then = table.equal_at.as_ref();
                let replayed = moves.zip(then).and_then(|(now, then)| now.since(then));
                table.place = Place::Left(replayed);
                continue;
            }
            if let Some(left) = self.remaining()? {
                proof.sums.limit(left)?;
            }
            let began = Instant::now();
            let equal = proof.sums.are_equal(&table.source, &table.target)?;
            tally.spent += began.elapsed();
            if !equal && last {
                let shown = table.source.shown();
                return Err(Failure::new("55000", format!("table {shown} differs on the target")).hint(format!(
                    "Did somebody else write to the target? SELECT * FROM repl_verify('{}', tables => array[{}], repair => true); \
                     tells and delivers anew what differs. Then call it again.",
                    self.subscription.name,
                    literal(&shown).trim()
                )));
            }
            table.doubted = !equal;
            table.equal_at = moves.cloned();
            table.place = Place::Behind;
            if equal {
                tally.know(table.source.oid, moves);
            }
        }
        Ok(())
    }
}

fn by_name(verified: &HashMap<u32, Line>) -> impl Iterator<Item = &Line> {
    let mut lines: Vec<&Line> = verified.values().collect();
    lines.sort_by(|a, b| a.table.cmp(&b.table));
    lines.into_iter()
}

fn with_notes<'a>(lines: impl Iterator<Item = &'a Line>) -> String {
    let noted: Vec<String> = lines
        .map(|line| match &line.note {
            Some(note) => format!("{} ({note})", line.table),
            None => line.table.clone(),
        })
        .collect();
    let noted: Vec<&str> = noted.iter().map(String::as_str).collect();
    shown(&noted)
}

fn shown(tables: &[&str]) -> String {
    let more = match tables.len().saturating_sub(SHOWN) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("{}{more}", tables[..tables.len().min(SHOWN)].join(", "))
}
