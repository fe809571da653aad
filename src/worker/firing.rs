//! A target whose role may not set session_replication_role: what would act there on rows that arrive (triggers, rules,
//! foreign keys) is noted as tasks and switched or taken off. `repl_stop` puts it back.

use super::apply::Session;
use super::preparation::{counterparts, forget_kept, note, relation_of};
use crate::applied;
use crate::deferral::{self, Deferred};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::pg::xact;
use crate::relation::{self, State};
use crate::subscription;
use crate::table::Table;
use crate::task;

/// Makes the target's tables quiet, if they have to be; before anything is written there. Returns the tables that cannot be,
/// each with the reason: nothing may be written to them.
pub fn silence(session: &mut Session, target: &[Table]) -> Result<Vec<(u32, Failure)>, Failure> {
    let ordinary = session.target.is_ordinary();
    if !ordinary && !target.iter().any(|t| t.row_security) {
        return Ok(Vec::new());
    }
    let id = session.subscription.id;
    if xact::run(|| Ok(subscription::is_closing(id)))? {
        // what is off is being put back for good, and nothing is replayed any more
        return Ok(Vec::new());
    }
    let relations = xact::run(|| Ok(relation::of(id)))?;
    let tables = counterparts(target, &relations);
    let firing = if ordinary {
        switch_off(session, &tables)?
    } else {
        Vec::new()
    };
    let role = role(&mut session.target)?;
    let failure = |oid: u32| {
        let (_, table) = tables.iter().find(|(relation, _)| *relation == oid)?;
        if table.row_security {
            return Some(hidden(&role, table));
        }
        let first = firing
            .iter()
            .find(|d| relation_of(&tables, d.table) == Some(oid))?;
        Some(loud(&role, first))
    };
    Ok(relations
        .iter()
        .filter(|r| r.state != State::Errored)
        .filter_map(|r| Some((r.oid, failure(r.oid)?)))
        .collect())
}

/// What still acts afterwards.
fn switch_off(session: &mut Session, tables: &[(u32, Table)]) -> Result<Vec<Deferred>, Failure> {
    let id = session.subscription.id;
    let oids: Vec<u32> = tables.iter().map(|(_, t)| t.oid).collect();
    let mut firing = deferral::firing(&mut session.target, &oids)?;
    if !firing.is_empty() {
        firing.retain(|d| d.kind != task::Kind::ForeignKey);
        let keys = deferral::read(&mut session.target, &oids)?;
        firing.extend(keys.into_iter().filter(|d| d.kind.is_firing()));
        note(id, tables, &firing)?;
        forget_applied(session)?;
        let kept = deferral::take_off(&mut session.target, &firing)?;
        forget_kept(
            &session.subscription,
            tables,
            &firing,
            &kept,
            "cannot be switched off on the target",
        )?;
        firing = deferral::firing(&mut session.target, &oids)?;
    }
    if !session.subscription.ordinary {
        xact::run(|| {
            session.subscription.set_ordinary();
            Ok(())
        })?;
    }
    Ok(firing)
}

/// A `repl_stop` that did not come to its end has put back some of it, which is to be put back once more.
fn forget_applied(session: &mut Session) -> Result<(), Failure> {
    let id = session.subscription.id;
    let open: Vec<i64> = xact::run(|| Ok(task::open_builds(id)))?
        .iter()
        .filter(|task| task.kind.is_firing())
        .map(|task| task.id)
        .collect();
    applied::forget_tasks(&mut session.target, &session.subscription.uuid, &open)
}

fn role(target: &mut Connection) -> Result<String, Failure> {
    let rows = target.query("select quote_ident(current_user) as role", &[])?;
    Ok(rows[0].string("role"))
}

fn hidden(role: &str, table: &Table) -> Failure {
    Failure::new(
        "42501",
        format!(
            "row security of table {} on the target applies to role {role}",
            table.shown()
        ),
    )
    .hint(format!(
        "On the target: ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY; for its owner, and at the end ALTER TABLE {name} FORCE \
         ROW LEVEL SECURITY; any other role needs BYPASSRLS. Then SELECT repl_resume();",
        name = table.qualified()
    ))
}

fn loud(role: &str, deferred: &Deferred) -> Failure {
    let kind = deferred.kind.as_str();
    Failure::new(
        "42501",
        format!(
            "{kind} {} of the target would act on arriving rows, and role {role} may not switch it off",
            deferred.name
        ),
    )
    .hint(format!(
        "On the target, as a superuser: GRANT SET ON PARAMETER session_replication_role TO {role}; (PostgreSQL 15 and later), \
         or switch it off there and on again after repl_stop. Nothing was written to the table since; then SELECT \
         repl_resume();"
    ))
}
