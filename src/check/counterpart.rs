//! The target's tables beside the source's: missing, differing, not writable, not empty, with triggers that would fire.

use std::collections::HashMap;

use super::finding::Findings;
use super::scope::{Scope, oids, subject};
use super::side::Side;
use super::wording::{count, names};
use crate::catalog;
use crate::drift;
use crate::quote;
use crate::table::{Kind, Table, shown};

/// Tables asked in one statement, and in one transaction, whether they hold rows: bounds its locks.
const ASKED_AT_ONCE: usize = 200;
/// With more tables than this the TRUNCATE of all of them is told once, not on each row.
const REPEATED: usize = 20;

/// The taken tables and what the target has for them.
pub struct Counterparts<'a> {
    /// taken, with the target's table
    pub pairs: Vec<(&'a Table, Table)>,
    /// taken, without one
    pub missing: Vec<&'a Table>,
    /// taken partitions (by way of their root) without one although the root has one
    partitions: Vec<&'a Table>,
}

impl<'a> Counterparts<'a> {
    /// `None` when the target's catalogs could not be read.
    pub fn read(scope: &'a Scope, target: &mut Side, findings: &mut Findings) -> Option<Self> {
        let tables = target
            .look
            .need(findings, "target tables", catalog::tables)?;
        let by_name: HashMap<(&str, &str), &Table> = tables
            .iter()
            .map(|t| ((t.schema.as_str(), t.name.as_str()), t))
            .collect();
        let find = |t: &Table| by_name.get(&(t.schema.as_str(), t.name.as_str())).copied();
        let mut found = Self {
            pairs: Vec::new(),
            missing: Vec::new(),
            partitions: Vec::new(),
        };
        for table in &scope.taken {
            match find(table) {
                Some(other) => found.pairs.push((table, other.clone())),
                None => found.missing.push(table),
            }
        }
        let partitioned: Vec<u32> = found
            .pairs
            .iter()
            .filter(|(_, t)| t.kind == Kind::Partitioned)
            .map(|(s, _)| s.oid)
            .collect();
        found.partitions = scope
            .partitions()
            .filter(|t| t.root.is_some_and(|root| partitioned.contains(&root)) && find(t).is_none())
            .collect();
        Some(found)
    }

    pub fn check(
        &self,
        target: &mut Side,
        copy_schema: bool,
        copy_data: bool,
        findings: &mut Findings,
    ) {
        self.say_missing(target, copy_schema, findings);
        self.say_different(target, findings);
        self.say_writable(target, findings);
        if copy_data {
            self.say_filled(target, findings);
        }
    }

    fn say_missing(&self, target: &mut Side, copy_schema: bool, findings: &mut Findings) {
        if copy_schema && !self.missing.is_empty() {
            let list: Vec<String> = self.missing.iter().map(|t| t.shown()).collect();
            findings.ok(
                "target tables",
                format!(
                    "{} not on the target will be imported: {}",
                    count(list.len(), "table"),
                    names(&list)
                ),
            );
            self.say_usurped(target, findings);
        } else {
            for table in &self.missing {
                findings.error(
                    "42P01",
                    subject(table),
                    "it is not on the target",
                    Some("-- let the schema be imported:\ncopy_schema => true".to_owned()),
                );
            }
            if self.missing.is_empty() && !self.pairs.is_empty() {
                findings.ok("target tables", "all are on the target already");
            }
        }
        for partition in &self.partitions {
            findings.warning(
                subject(partition),
                "this partition is not on the target: its rows are refused there unless another partition takes them",
                target.sql("CREATE TABLE ... PARTITION OF ...; -- as on the source"),
            );
        }
    }

    /// A view or the like sits where a table is to be created.
    fn say_usurped(&self, target: &mut Side, findings: &mut Findings) {
        let schemas: Vec<&str> = self.missing.iter().map(|t| t.schema.as_str()).collect();
        let tables: Vec<&str> = self.missing.iter().map(|t| t.name.as_str()).collect();
        let (schemas, tables) = (quote::array(&schemas), quote::array(&tables));
        let sql = include_str!("../../sql/check/usurpers.sql");
        let rows = target.look.rows(
            findings,
            "target tables",
            sql,
            &[Some(&schemas), Some(&tables)],
        );
        for row in rows.unwrap_or_default() {
            let (schema, name, kind) = (row.text("schema"), row.text("name"), row.text("kind"));
            findings.error(
                "42809",
                format!("table {}", shown(schema, name)),
                format!("a {} of the target has its name", kind.to_lowercase()),
                target.sql(format!("DROP {kind} {};", quote::qualified(schema, name))),
            );
        }
    }

    fn say_different(&self, target: &Side, findings: &mut Findings) {
        let mark = findings.mark();
        for (table, other) in &self.pairs {
            for difference in drift::compare(table, other) {
                let fix = target.sql(&difference.fix);
                if difference.fatal {
                    findings.error("42P17", subject(table), difference.message, fix);
                } else {
                    findings.warning(subject(table), difference.message, fix);
                }
            }
        }
        if findings.quiet_since(mark) && !self.pairs.is_empty() {
            findings.ok(
                "differences",
                format!("none in {}", count(self.pairs.len(), "table")),
            );
        }
    }

    fn say_writable(&self, target: &mut Side, findings: &mut Findings) {
        if self.pairs.is_empty() {
            return;
        }
        let mark = findings.mark();
        let role = quote::ident(&target.server.role);
        let list = oids(self.pairs.iter().map(|(_, t)| t));
        let sql = include_str!("../../sql/check/writable.sql");
        let Some(rows) = target
            .look
            .rows(findings, "target rights", sql, &[Some(&list)])
        else {
            return;
        };
        for row in rows {
            let Some((table, other)) = self.pairs.iter().find(|(_, t)| t.oid == row.oid("oid"))
            else {
                continue;
            };
            let name = other.qualified();
            if !row.flag("usage") {
                findings.error(
                    "42501",
                    subject(table),
                    format!("role {role} may not use its schema on the target"),
                    target.sql(format!(
                        "GRANT USAGE ON SCHEMA {} TO {role};",
                        quote::ident(&other.schema)
                    )),
                );
            }
            if let Some(missing) = row.opt("missing") {
                findings.error(
                    "42501",
                    subject(table),
                    format!("role {role} may not fully write it on the target"),
                    target.sql(format!("GRANT {missing} ON {name} TO {role};")),
                );
            }
            if other.row_security {
                findings.error(
                    "42501",
                    subject(table),
                    format!("row security on the target would apply to role {role}, which COPY refuses"),
                    target.sql(format!(
                        "ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY; -- for its owner; any other needs BYPASSRLS"
                    )),
                );
            }
        }
        if findings.quiet_since(mark) {
            findings.ok(
                "target rights",
                format!("role {role} may write every table that is there"),
            );
        }
    }

    /// Those that fire for what we write, although nothing else does.
    pub fn say_triggers(&self, target: &mut Side, findings: &mut Findings) {
        if self.pairs.is_empty() {
            return;
        }
        let list = oids(self.pairs.iter().map(|(_, t)| t));
        let sql = include_str!("../../sql/check/triggers.sql");
        let Some(rows) = target
            .look
            .rows(findings, "target triggers", sql, &[Some(&list)])
        else {
            return;
        };
        let firing: Vec<_> = rows
            .iter()
            .filter(|r| matches!(r.text("mode"), "A" | "R"))
            .collect();
        for row in &firing {
            let name = quote::qualified(row.text("schema"), row.text("name"));
            findings.warning(
                format!("table {}", shown(row.text("schema"), row.text("name"))),
                format!(
                    "its {} {} on the target is ENABLE {} and fires for every row that arrives",
                    row.text("kind"),
                    row.text("trigger"),
                    if row.text("mode") == "A" {
                        "ALWAYS"
                    } else {
                        "REPLICA"
                    },
                ),
                target.sql(format!(
                    "ALTER TABLE {name} ENABLE {} {};",
                    row.text("kind").to_uppercase(),
                    quote::ident(row.text("trigger"))
                )),
            );
        }
        if firing.is_empty() {
            findings.ok("target triggers", "none fires while rows arrive");
        }
    }

    fn say_filled(&self, target: &mut Side, findings: &mut Findings) {
        let asked: Vec<&(&Table, Table)> = self
            .pairs
            .iter()
            .filter(|(_, t)| t.selectable && !t.row_security)
            .collect();
        let mut filled: Vec<&(&Table, Table)> = Vec::new();
        for some in asked.chunks(ASKED_AT_ONCE) {
            let parts: Vec<String> = some
                .iter()
                .map(|(_, t)| {
                    format!(
                        "select {}::int8 as oid where exists (select from {} limit 1)",
                        t.oid,
                        t.only()
                    )
                })
                .collect();
            let sql = parts.join(" union all ");
            let rows = target.look.need(findings, "target rows", |connection| {
                connection.query(&sql, &[])
            });
            let Some(rows) = rows else { return };
            filled.extend(
                some.iter()
                    .filter(|(_, t)| rows.iter().any(|r| r.oid("oid") == t.oid)),
            );
            target.look.renew();
        }
        let all: Vec<String> = filled.iter().map(|(_, t)| t.qualified()).collect();
        let truncate = format!(
            "TRUNCATE {};\n-- or, if they hold the source's rows already:\ncopy_data => false",
            all.join(", ")
        );
        for (at, (table, _)) in filled.iter().enumerate() {
            let fix = if at == 0 || filled.len() <= REPEATED {
                truncate.as_str()
            } else {
                "-- see the first of these rows"
            };
            findings.error(
                "55000",
                subject(table),
                "it holds rows on the target already",
                target.sql(fix),
            );
        }
        if filled.is_empty() && !self.pairs.is_empty() {
            findings.ok("target rows", "the tables that are there are empty");
        }
    }
}
