//! Verification: are both sides equal? While both are written to.
//!
//! Each table is summed up range by range on both sides at once (`range`). Ranges that differ are looked into once replay
//! has passed the moment they were read at (`passage`), down to keys, and those are looked at until each is known to be
//! equal or not (`key`, `suspect`). So a difference that is told is one. What a row is, is told by `image`, the statements
//! are in `statement`. Nothing of ours is written on either side, but for the keys of rows to be repaired (`mend`).

mod definition;
mod image;
mod key;
mod ledger;
mod mend;
mod outcome;
mod passage;
mod range;
mod shape;
mod sides;
mod statement;
mod sums;
mod suspect;
mod table;

use std::time::Instant;

use self::definition::{Definitions, KINDS};
use self::ledger::{Ledger, Scope};
use self::outcome::Outcome;
use self::passage::Passage;
use self::shape::Depth;
use self::sides::Sides;
use self::table::Followed;
use crate::catalog;
use crate::failure::Failure;
use crate::pg::xact;
use crate::relation::{self, Relation};
use crate::selection::Choice;
use crate::subscription::Subscription;
use crate::table::Table;

pub use self::ledger::Line;
pub use self::sums::Sums;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// which rows there are
    Count,
    /// and what is in them
    Checksum,
    /// definitions, no rows
    Schema,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Checksum => "checksum",
            Self::Schema => "schema",
        }
    }
}

pub struct Request<'a> {
    pub subscription: &'a Subscription,
    /// of the subscription, those to look at
    pub relations: Vec<Relation>,
    /// as the caller gave them
    pub tables: Option<&'a [String]>,
    pub mode: Mode,
    pub repair: bool,
}

/// Verifies table by table: a line for each of `relations`, in their order, then those of other objects. `before` is called
/// before a table is read, unless an interrupted call has done that. Errors: those of a server that went away, and of
/// `before`; what was found until then is kept.
pub fn run(
    request: &Request,
    mut before: impl FnMut(&Relation) -> Result<(), Failure>,
) -> Result<Vec<Line>, Failure> {
    let mut sides = Sides::open(request.subscription)?;
    let mut subjects: Vec<String> = request.relations.iter().map(Relation::shown).collect();
    let whole = request.mode == Mode::Schema && request.tables.is_none();
    if whole {
        subjects.extend(KINDS.map(|(_, subject)| subject.to_owned()));
    }
    let scope = Scope {
        subscription: request.subscription,
        mode: request.mode.as_str(),
        tables: request.tables,
        repair: request.repair,
    };
    let (mut ledger, mut done) = Ledger::begin(&scope, &subjects)?;
    let look = Look::take(&mut sides, request.mode)?;
    let mut lines = Vec::new();
    for (at, subject) in subjects.iter().enumerate() {
        if let Some(line) = done.remove(subject) {
            lines.push(line);
            continue;
        }
        ledger.start(subject)?;
        if let Some(relation) = request.relations.get(at) {
            before(relation)?;
        }
        let began = Instant::now();
        let outcome = match request.relations.get(at) {
            Some(relation) => look.verify(&mut sides, request, relation),
            None => look.kind(request, KINDS[at - request.relations.len()].0),
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(failure) if failure.disconnected => return Err(interrupted(failure, request)),
            Err(failure) => Outcome::open(told(&failure)),
        };
        let line = Line {
            table: subject.clone(),
            source_rows: outcome.rows.map(|rows| rows.source),
            target_rows: outcome.rows.map(|rows| rows.target),
            equal: outcome.equal,
            differing: outcome.listed(),
            how: outcome.how.clone(),
            took: i64::try_from(began.elapsed().as_micros()).expect("fits 63 bits"),
            summing: outcome.summing,
            note: outcome.told(),
        };
        ledger.finish(&line)?;
        lines.push(line);
    }
    ledger.end()?;
    Ok(lines)
}

fn told(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{}. {hint}", failure.line()),
        None => failure.line(),
    }
}

fn interrupted(failure: Failure, request: &Request) -> Failure {
    failure
        .during("verifying; nothing was changed, and what is not finished is not told to be equal")
        .hint(format!(
            "Call it again within an hour: it goes on with the tables that are left. SELECT * FROM repl_verifications WHERE \
             subscription = '{}' shows what it has.",
            request.subscription.name
        ))
}

/// Both sides' catalogs, as they were at the beginning.
enum Look {
    Rows {
        source: Vec<Table>,
        target: Vec<Table>,
        depth: Depth,
    },
    Schema(Definitions),
}

impl Look {
    fn take(sides: &mut Sides, mode: Mode) -> Result<Self, Failure> {
        let depth = match mode {
            Mode::Count => Depth::Presence,
            Mode::Checksum => Depth::Content,
            Mode::Schema => {
                let question = definition::QUESTION;
                let (source, target) = sides.ask(question, question, &[])?;
                return Ok(Self::Schema(Definitions {
                    source: definition::read(&source),
                    target: definition::read(&target),
                    same_major: sides.servers.source / 10_000 == sides.servers.target / 10_000,
                }));
            }
        };
        Ok(Self::Rows {
            source: catalog::tables(&mut sides.source)?,
            target: catalog::tables(&mut sides.target)?,
            depth,
        })
    }

    fn verify(
        &self,
        sides: &mut Sides,
        request: &Request,
        relation: &Relation,
    ) -> Result<Outcome, Failure> {
        let (source, target, depth) = match self {
            Self::Rows {
                source,
                target,
                depth,
            } => (source, target, *depth),
            Self::Schema(definitions) => {
                let mut outcome = definitions.table(&relation.schema, &relation.name);
                note_unbuilt(&mut outcome, request.subscription, relation);
                return Ok(outcome);
            }
        };
        let Some(source) = source.iter().find(|t| t.oid == relation.oid) else {
            return Ok(missing("the source"));
        };
        // it may have been renamed on both
        let same_name = |t: &&Table| t.schema == source.schema && t.name == source.name;
        let Some(target) = target.iter().find(same_name) else {
            return Ok(missing("the target"));
        };
        // as it is now: the tables before it may have taken long
        let now = xact::within(|| relation::by_oid(request.subscription.id, relation.oid));
        let followed = Followed {
            subscription: request.subscription,
            relation: now.as_ref().unwrap_or(relation),
            source,
            target,
        };
        if request.repair {
            repair(sides, &followed, depth)
        } else {
            followed.verify(sides, depth)
        }
    }

    fn kind(&self, request: &Request, kind: &str) -> Result<Outcome, Failure> {
        let Self::Schema(definitions) = self else {
            unreachable!("only definitions have kinds");
        };
        let subscription = request.subscription;
        let choice = Choice::parse(None, subscription.exclude.as_deref())?;
        let all = subscription.tables.is_none();
        Ok(definitions.kind(kind, |schema| {
            let taken = request.relations.iter().any(|r| r.schema == schema);
            taken || all && choice.wants(schema, "")
        }))
    }
}

fn missing(side: &str) -> Outcome {
    Outcome {
        equal: Some(false),
        how: "catalogs".into(),
        notes: vec![format!("the table is not on {side}")],
        ..Outcome::default()
    }
}

/// Indexes and constraints that are taken off for the copy are missing, and come back.
fn note_unbuilt(outcome: &mut Outcome, subscription: &Subscription, relation: &Relation) {
    let unbuilt = xact::within(|| crate::task::unbuilt(subscription.id, relation.oid));
    if unbuilt > 0 {
        outcome.note(format!(
            "{unbuilt} indexes, constraints and foreign keys are off for the copy and not built again yet"
        ));
    }
}

/// Verifies, and delivers anew what differs, until it does not.
fn repair(sides: &mut Sides, followed: &Followed, depth: Depth) -> Result<Outcome, Failure> {
    const ROUNDS: usize = 5;
    let mut delivered = 0;
    let mut rounds = 0;
    loop {
        let mut outcome = followed.verify(sides, depth)?;
        let keys: Vec<_> = outcome
            .differing
            .iter()
            .map(|(key, _)| key.clone())
            .filter(|key| !outcome.left_out.contains(key))
            .collect();
        let differs = outcome.equal == Some(false) && !keys.is_empty();
        let by_key = !outcome.key.is_empty() && !followed.relation.keyless;
        if !differs || !by_key || rounds == ROUNDS {
            if differs {
                outcome.note(followed.anew());
            }
            if delivered > 0 {
                outcome.note(format!("{delivered} keys were put back in the queue"));
            }
            return Ok(outcome);
        }
        let moment = mend::deliver(sides, followed.source, &keys)?;
        delivered += keys.len();
        rounds += 1;
        let (id, oid) = (followed.subscription.id, followed.relation.oid);
        if let Passage::Stuck(reason) = passage::wait(sides, id, oid, moment, |_| Ok(()))? {
            outcome.note(format!(
                "{delivered} keys were put back in the queue, but are not replayed: {reason}"
            ));
            return Ok(outcome);
        }
    }
}
