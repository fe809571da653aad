//! The fence: a block at the beginning of every capture function that refuses the write. One transaction, no lock on any
//! user's table; who reads notices nothing.
//!
//! The functions on the source are the truth of being fenced: whatever dies, they stay as they are. What a function does
//! besides (which segment it writes to, of which columns) is left alone, so segments are sealed under the fence as without it.
//!
//! A statement-level trigger fires for a statement that changes no row, too: such a statement is refused as a read-only
//! transaction would refuse it.

use std::time::{Duration, Instant};

use super::{LOCK_TIMEOUT, Names, revocation};
use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::pg::latch;
use crate::quote::{ident, literal, qualified};
use crate::template::fill;

const BEGIN: &str = "/* decamp fence */";
const END: &str = "/* end of decamp fence */";
/// Where it goes.
const BODY: &str = "\nbegin\n";

/// How many of the capture functions refuse writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub functions: usize,
    pub fenced: usize,
    /// instead, or besides, rights are revoked
    pub revoked: bool,
}

impl Standing {
    pub fn is_whole(self) -> bool {
        self.revoked || self.functions > 0 && self.fenced == self.functions
    }

    /// Somebody is refused something.
    pub fn is_felt(self) -> bool {
        self.revoked || self.fenced > 0
    }
}

struct Function {
    definition: String,
    fenced: bool,
}

fn functions(source: &mut Connection, names: &Names) -> Result<Vec<Function>, Failure> {
    let rows = source.query(
        include_str!("../../sql/source/fence_functions.sql"),
        &[Some(&names.schema()), Some(BEGIN)],
    )?;
    Ok(rows
        .iter()
        .map(|row| Function {
            definition: row.string("definition"),
            fenced: row.flag("fenced"),
        })
        .collect())
}

pub fn standing(source: &mut Connection, names: &Names) -> Result<Standing, Failure> {
    let row = &source.ask(&question(names))?[0];
    let count = |name| usize::try_from(row.int(name)).expect("a count is not negative");
    Ok(Standing {
        functions: count("functions"),
        fenced: count("fenced"),
        revoked: row.flag("revoked"),
    })
}

/// What [`standing`] asks.
pub fn question(names: &Names) -> Question {
    Question::bound(
        "select count(*) as functions, count(*) filter (where strpos(p.prosrc, $2) > 0) as fenced, \
                to_regclass($3) is not null as revoked \
         from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
         where n.nspname = $1 and left(p.proname, 8) = 'capture_'",
        &[&names.schema(), BEGIN, &revocation::table(names)],
    )
}

/// Holds the fence's advisory lock on the source for as long as the connection lives: who raises or lowers it does so alone, and
/// after the last statement of a predecessor that died. Errors: 55006 when another session keeps it.
pub fn lock(source: &mut Connection, uuid: &str, patience: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    loop {
        let got = source.query(
            "select pg_try_advisory_lock(('x' || substr(replace($1, '-', ''), 17, 16))::bit(64)::int8) as got",
            &[Some(uuid)],
        )?[0]
            .flag("got");
        if got {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::new("55006", "another session is raising or lowering the fence")
                .at(source.origin())
                .detail("Nothing has been changed by this call.")
                .hint("Call it again in a moment; see pg_stat_activity on the source for application_name pg_decamp."));
        }
        latch::wait(Duration::from_millis(50));
    }
}

/// Gives it back before the connection ends.
pub fn unlock(source: &mut Connection, uuid: &str) -> Result<(), Failure> {
    source
        .query(
            "select pg_advisory_unlock(('x' || substr(replace($1, '-', ''), 17, 16))::bit(64)::int8)",
            &[Some(uuid)],
        )
        .map(drop)
}

/// Lets the subscription that leads back here pass the fence. What it writes is not captured: it comes from where it would go.
pub fn admit(source: &mut Connection, names: &Names, counterpart: &str) -> Result<(), Failure> {
    source.batch(&format!(
        "update {} set counterpart = {uuid}::uuid where counterpart is distinct from {uuid}::uuid",
        qualified(&names.schema(), "origin"),
        uuid = literal(counterpart)
    ))
}

/// How a session tells whose writes these are.
pub fn pass(target: &mut Connection, uuid: &str) -> Result<(), Failure> {
    target.batch(&format!("set decamp.pass = {}", literal(uuid)))
}

/// For what must not happen behind a fence. SQLSTATE 55000.
pub fn refusal(subscription: &str) -> Failure {
    Failure::new(
        "55000",
        format!("the source of subscription {subscription:?} is fenced"),
    )
    .detail("Nothing has been changed.")
    .hint(format!("SELECT repl_unfence('{subscription}'); first."))
}

/// The statements that begin a transaction which alone may replace capture functions.
pub fn alone(names: &Names) -> String {
    format!(
        "lock table {} in exclusive mode;",
        qualified(&names.schema(), "origin")
    )
}

/// From its commit on no statement that begins writes to a captured table. Those that have begun are the barrier's. The commit
/// is on the source's disk when this returns.
pub fn raise(source: &mut Connection, names: &Names) -> Result<(), Failure> {
    let block = block(names);
    replace(source, names, false, |function| {
        (!function.fenced)
            .then(|| fenced(&function.definition, &block))
            .flatten()
    })
    .map_err(|failure| failure.during("fencing the source"))
}

/// Takes it away again; rights that were revoked are given back.
pub fn lower(source: &mut Connection, names: &Names) -> Result<(), Failure> {
    replace(source, names, true, |function| {
        function.fenced.then(|| open(&function.definition))
    })
    .map_err(|failure| failure.during("lowering the fence of the source"))
}

fn replace(
    source: &mut Connection,
    names: &Names,
    give_back: bool,
    change: impl Fn(&Function) -> Option<String>,
) -> Result<(), Failure> {
    let seconds = LOCK_TIMEOUT.as_secs();
    let outcome = source
        .batch(&format!(
            "begin; set local check_function_bodies = off; set local lock_timeout = '{seconds}s'; {}",
            alone(names)
        ))
        .and_then(|()| functions(source, names))
        .and_then(|functions| {
            let changed: Vec<String> = functions.iter().filter_map(change).collect();
            let rights = if give_back {
                revocation::giving_back(source, names)?
            } else {
                String::new()
            };
            source.batch(&format!("{}; {rights} commit", changed.join("; ")))
        });
    if outcome.is_err() {
        source.rollback();
    }
    outcome
}

fn block(names: &Names) -> String {
    fill(
        include_str!("../../sql/source/fence.sql"),
        &[("schema", &ident(&names.schema()))],
    )
}

/// With the block behind the body's first `begin`. `None` for a body without one, which is none of ours.
fn fenced(definition: &str, block: &str) -> Option<String> {
    let (head, tail) = definition.split_once(BODY)?;
    Some(format!("{head}{BODY}{block}\n{tail}"))
}

/// The statements that make capture functions, each with the block.
pub(super) fn in_all(statements: &str, names: &Names) -> String {
    statements.replace(BODY, &format!("{BODY}{}\n", block(names)))
}

fn open(definition: &str) -> String {
    let Some((head, rest)) = definition.split_once(BEGIN) else {
        return definition.to_owned();
    };
    let tail = rest.split_once(END).map_or(rest, |(_, tail)| tail);
    format!(
        "{}{}",
        head.trim_end_matches(' '),
        tail.strip_prefix('\n').unwrap_or(tail)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINITION: &str = "CREATE OR REPLACE FUNCTION x()\nAS $function$\nbegin\n    insert into a select 1;\n    \
                              return null;\nend\n$function$\n";

    #[test]
    fn a_fence_comes_and_goes_without_a_trace() {
        let closed = fenced(DEFINITION, &block(&Names::of("x"))).expect("it has a body");
        assert!(closed.contains("25006") && closed.contains("insert into a"));
        assert_eq!(open(&closed), DEFINITION);
        assert_eq!(open(DEFINITION), DEFINITION);
    }

    #[test]
    fn a_strange_body_is_left_alone() {
        assert_eq!(fenced("select 1", &block(&Names::of("x"))), None);
    }
}
