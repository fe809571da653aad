//! Looks at source and target before anything is started, and says what is in the way and what to type about it:
//! `repl_check`, and the first thing `repl_start` does.
//!
//! Changes nothing on either side: all is read in read-only transactions. Stops at nothing: what cannot be looked at is a
//! finding of its own. One query per concern, however many tables there are. Each concern says `ok` when it has nothing to
//! complain of, so that the user sees what was looked at.

mod blocker;
mod counterpart;
mod extension;
mod finding;
mod import;
mod key;
mod kind;
mod leftover;
mod look;
mod moved;
mod pair;
mod pooler;
mod privilege;
mod replication;
mod right;
mod scope;
mod sequence;
mod side;
mod slot;
mod space;
mod wording;

pub use finding::{Finding, Severity};

use counterpart::Counterparts;
use finding::Findings;
use scope::Scope;
use side::Side;

use crate::failure::Failure;
use crate::libpq::{Conninfo, Role};
use crate::selection::Choice;
use crate::table::Table;

/// Our sessions' `application_name`.
const APPLICATION: &str = "pg_decamp check";

/// What would be started.
pub struct Request<'a> {
    pub source: &'a Conninfo,
    pub target: &'a Conninfo,
    /// the target is another server than the one we run in
    pub helper: bool,
    /// client encoding of both connections
    pub encoding: String,
    pub choice: &'a Choice,
    pub copy_schema: bool,
    pub copy_data: bool,
    pub workers: i32,
    /// of the subscription about to be started
    pub name: Option<&'a str>,
}

/// What was found.
pub struct Report {
    pub findings: Vec<Finding>,
    /// what the subscription would take; empty if the source could not be looked at
    pub taken: Vec<Table>,
}

/// Looks at everything. Needs an open transaction; takes as long as both servers take for about a dozen small queries each.
pub fn run(request: &Request) -> Report {
    let mut findings = Findings::default();
    let mut source = open_source(request, &mut findings);
    let mut target = open_target(request, &mut findings);
    if let (Some(source), Some(target)) = (&mut source, &mut target) {
        pair::check(source, target, &mut findings);
    }
    let scope = source
        .as_mut()
        .and_then(|source| check_source(request, source, &mut findings));
    if let Some(target) = &mut target {
        let imports = check_target(request, scope.as_ref(), target, &mut findings);
        if let Some(source) = &mut source {
            extension::check(source, target, imports, &mut findings);
            if imports {
                import::check_programs(source.look.version(), &mut findings);
            }
        }
    }
    slot::check_workers(request.workers, &mut findings);
    if let (Some(source), Some(scope)) = (&mut source, &scope) {
        let needed = space::check_source(scope, source, &mut findings);
        if request.copy_data && !request.helper {
            space::check_disk(needed, &mut findings);
        }
    }
    Report {
        findings: findings.into_vec(),
        taken: scope.map(|s| s.taken).unwrap_or_default(),
    }
}

fn open_source(request: &Request, findings: &mut Findings) -> Option<Side> {
    let opened = Side::open(
        "source",
        request.source,
        Role::Source,
        &request.encoding,
        findings,
    );
    opened
        .map_err(|failure| findings.failure("source connection", &failure))
        .ok()
}

fn open_target(request: &Request, findings: &mut Findings) -> Option<Side> {
    let opened = Side::open(
        "target",
        request.target,
        Role::TargetLook,
        &request.encoding,
        findings,
    );
    let explained = |failure: Failure| {
        if request.helper {
            return failure;
        }
        failure.hint(
            "-- this server does not let its own sessions in by its socket: name the target, with a password\n\
             target => 'host=localhost dbname=... user=... password=...'",
        )
    };
    opened
        .map_err(|failure| findings.failure("target connection", &explained(failure)))
        .ok()
}

fn check_source(request: &Request, source: &mut Side, findings: &mut Findings) -> Option<Scope> {
    let scope = Scope::read(source, request.choice, findings);
    if let Some(scope) = &scope {
        scope::check(scope, source, request.choice, findings);
        key::check(scope, source, findings);
        right::check(scope, source, request.choice, findings);
        kind::check(scope, source, request.choice, findings);
        blocker::check(scope, source, findings);
        replication::check(scope, source, findings);
    }
    sequence::check(source, findings);
    moved::check_objects(source, findings);
    leftover::check(source, request.name, findings);
    slot::check_connections(source, request.workers, findings);
    scope
}

/// Whether the schema would be imported.
fn check_target(
    request: &Request,
    scope: Option<&Scope>,
    target: &mut Side,
    findings: &mut Findings,
) -> bool {
    let lacking = privilege::check_replication_role(target, findings);
    privilege::check_state(target, findings);
    slot::check_connections(target, request.workers, findings);
    let Some(counterparts) = scope.and_then(|scope| Counterparts::read(scope, target, findings))
    else {
        return false;
    };
    if let Some(grant) = &lacking {
        let pairs: Vec<(&Table, &Table)> =
            counterparts.pairs.iter().map(|(s, t)| (*s, t)).collect();
        privilege::check_ordinary(target, &pairs, grant.clone(), findings);
    } else {
        counterparts.say_triggers(target, findings);
    }
    counterparts.check(target, request.copy_schema, request.copy_data, findings);
    let imports = request.copy_schema && !counterparts.missing.is_empty();
    if imports {
        let mut schemas: Vec<&str> = counterparts
            .missing
            .iter()
            .map(|t| t.schema.as_str())
            .collect();
        schemas.dedup();
        privilege::check_creation(target, &schemas, findings);
    }
    imports
}
