//! Triggers, publications and subscriptions of the source that meet with ours.

use super::finding::Findings;
use super::scope::Scope;
use super::side::Side;
use super::wording::{count, names};
use crate::table::shown;

pub fn check(scope: &Scope, source: &mut Side, findings: &mut Findings) {
    say_triggers(scope, source, findings);
    say_publications(source, findings);
    say_subscriptions(source, findings);
}

fn say_triggers(scope: &Scope, source: &mut Side, findings: &mut Findings) {
    let sql = include_str!("../../sql/check/triggers.sql");
    let Some(rows) = source
        .look
        .rows(findings, "triggers", sql, &[Some(&scope.family())])
    else {
        return;
    };
    let disabled = rows
        .iter()
        .filter(|r| r.text("mode") == "D" && r.text("kind") == "trigger");
    let (internal, own): (Vec<_>, Vec<_>) = disabled.partition(|r| r.flag("internal"));
    if own.is_empty() && internal.is_empty() {
        findings.ok("triggers", "none is disabled");
    }
    if !own.is_empty() {
        let list: Vec<String> = own
            .iter()
            .map(|r| {
                format!(
                    "{} on {}",
                    r.text("trigger"),
                    shown(r.text("schema"), r.text("name"))
                )
            })
            .collect();
        findings.warning(
            "triggers",
            format!("disabled on the source and left so: {}", names(&list)),
            None,
        );
    }
    if !internal.is_empty() {
        let mut list: Vec<String> = internal
            .iter()
            .map(|r| shown(r.text("schema"), r.text("name")))
            .collect();
        list.dedup();
        findings.warning(
            "triggers",
            format!(
                "foreign keys are not enforced on the source, rows may violate them: {}",
                names(&list)
            ),
            source.sql(format!(
                "ALTER TABLE {} ENABLE TRIGGER ALL; -- each of them",
                list[0]
            )),
        );
    }
}

/// A publication FOR ALL TABLES takes in our tables as well, and the apply worker of a subscriber stops at the first change
/// of a table it does not have ("logical replication target relation ... does not exist"). Without wal_level = logical
/// nobody can subscribe.
fn say_publications(source: &mut Side, findings: &mut Findings) {
    let sql = include_str!("../../sql/check/publications.sql");
    let Some(rows) = source.look.rows(findings, "publications", sql, &[]) else {
        return;
    };
    let (all, some): (Vec<_>, Vec<_>) = rows
        .iter()
        .partition(|r| r.flag("all_tables") && r.flag("logical"));
    let list = |rows: &[&crate::row::Row]| {
        names(&rows.iter().map(|r| r.string("name")).collect::<Vec<_>>())
    };
    if rows.is_empty() {
        findings.ok("publications", "none on the source");
    }
    if !some.is_empty() {
        findings.ok(
            "publications",
            format!(
                "on the source, not concerned by our tables: {}",
                list(&some)
            ),
        );
    }
    if !all.is_empty() {
        findings.warning(
            "publications",
            format!(
                "FOR ALL TABLES, so our tables on the source are published too, and a subscriber that lacks them stops: {}",
                list(&all),
            ),
            source.sql(
                "SELECT * FROM pg_replication_slots; -- if none is in use nobody subscribes; else let it publish a list of tables",
            ),
        );
    }
}

fn say_subscriptions(source: &mut Side, findings: &mut Findings) {
    let sql = include_str!("../../sql/check/subscriptions.sql");
    let Some(rows) = source.look.rows(findings, "subscriptions", sql, &[]) else {
        return;
    };
    if rows.is_empty() {
        findings.ok("subscriptions", "none on the source");
        return;
    }
    let list: Vec<String> = rows
        .iter()
        .map(|r| {
            format!(
                "{}{}",
                r.text("name"),
                if r.flag("enabled") { "" } else { " (disabled)" }
            )
        })
        .collect();
    findings.ok(
        "subscriptions",
        format!(
            "{} on the source; rows they bring are captured, our triggers fire always: {}",
            count(list.len(), "subscription"),
            names(&list),
        ),
    );
}
