//! The source's extensions: has the target's server got them, in which version, where.

use super::finding::Findings;
use super::side::Side;
use super::wording::names;
use crate::import;
use crate::import::extension::{self, Extension};
use crate::quote::{self, ident};
use crate::row::Row;

/// `imported`: the schema will be, and CREATE EXTENSION with it.
pub fn check(source: &mut Side, target: &mut Side, imported: bool, findings: &mut Findings) {
    let Some(wanted) = source.look.run(findings, "extensions", import::extensions) else {
        return;
    };
    let list: Vec<&str> = wanted.iter().map(|e| e.name.as_str()).collect();
    let available = target.look.rows(
        findings,
        "extensions",
        include_str!("../../sql/check/available.sql"),
        &[Some(&quote::array(&list))],
    );
    let Some(available) = available else {
        return;
    };
    let mark = findings.mark();
    for extension in &wanted {
        match available.iter().find(|r| r.text("name") == extension.name) {
            None => say_missing(extension, target, findings),
            Some(row) => say_available(extension, row, target, imported, findings),
        }
    }
    if findings.quiet_since(mark) {
        let list = if list.is_empty() {
            "none on the source".to_owned()
        } else {
            names(&list)
        };
        findings.ok(
            "extensions",
            format!("the target has what it needs: {list}"),
        );
    }
}

fn say_missing(extension: &Extension, target: &Side, findings: &mut Findings) {
    let consequence = if extension.tables.is_empty() {
        "no table needs it, but views, functions or indexes may".to_owned()
    } else {
        format!(
            "tables that need it cannot be created there: {}",
            names(&extension.tables)
        )
    };
    let install = match extension::package(&extension.name, target.look.version() / 10_000) {
        Some(package) => format!("apt-get install {package} # on the target's server"),
        None => format!(
            "CREATE EXTENSION IF NOT EXISTS {}; -- after installing it on the server; a provider's own is to be had nowhere \
             else, and what uses it must be changed",
            ident(&extension.name)
        ),
    };
    findings.warning(
        subject(extension),
        format!("the target's server does not have it: {consequence}"),
        target.sql(install),
    );
}

fn say_available(
    extension: &Extension,
    row: &Row,
    target: &Side,
    imported: bool,
    findings: &mut Findings,
) {
    let installed = row.opt("installed");
    let version = installed.or(row.opt("offered")).unwrap_or_default();
    let found = extension::differences(extension, row.opt("schema"), version);
    for difference in &found {
        let fix = difference.fix.as_deref().and_then(|fix| target.sql(fix));
        if difference.serious {
            findings.warning(subject(extension), &difference.message, fix);
        } else {
            findings.ok(subject(extension), &difference.message);
        }
    }
    match installed {
        Some(_) => {}
        None if imported => findings.ok(subject(extension), "will be created on the target"),
        None => findings.warning(
            subject(extension),
            "not created in the target's database",
            target.sql(format!(
                "CREATE EXTENSION IF NOT EXISTS {};",
                ident(&extension.name)
            )),
        ),
    }
}

fn subject(extension: &Extension) -> String {
    format!("extension {}", extension.name)
}
