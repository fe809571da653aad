//! What an import leaves otherwise than it is on the source although no statement was refused. Told once, in events.

use super::schema::SUBJECT;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::import::extension;
use crate::import::{self, PROVIDERS_SCHEMAS};
use crate::pg::xact;
use crate::quote::{self, ident, literal};
use crate::row::Row;
use crate::worker::apply::Session;

struct Remark {
    severity: Severity,
    message: String,
    detail: Option<String>,
}

/// `later`: statements that the import has put off.
pub fn record(session: &mut Session, later: &[String]) -> Result<(), Failure> {
    let mut remarks = extensions(session)?;
    remarks.extend(triggers(later));
    remarks.extend(materialized_views(session)?);
    remarks.extend(unmoved(session)?);
    let name = &session.subscription.name;
    xact::run(|| {
        for remark in &remarks {
            event::record(
                remark.severity,
                name,
                SUBJECT,
                &remark.message,
                remark.detail.as_deref(),
            );
        }
        Ok(())
    })
}

fn extensions(session: &mut Session) -> Result<Vec<Remark>, Failure> {
    let target = import::extensions(&mut session.target)?;
    let mut remarks = Vec::new();
    for wanted in import::extensions(&mut session.source)? {
        let Some(got) = target.iter().find(|e| e.name == wanted.name) else {
            continue;
        };
        for difference in extension::differences(&wanted, Some(&got.schema), &got.version) {
            remarks.push(Remark {
                severity: if difference.serious {
                    Severity::Warning
                } else {
                    Severity::Info
                },
                message: format!("extension {}: {}", wanted.name, difference.message),
                detail: difference.fix,
            });
        }
    }
    Ok(remarks)
}

fn triggers(later: &[String]) -> Option<Remark> {
    (!later.is_empty()).then(|| Remark {
        severity: Severity::Warning,
        message: "triggers that are ENABLE ALWAYS or REPLICA on the source would fire for every row that arrives: they are \
                  made without it, to be enabled at switchover"
            .to_owned(),
        detail: Some(later.join("\n")),
    })
}

fn materialized_views(session: &mut Session) -> Result<Option<Remark>, Failure> {
    let rows = session
        .target
        .query(include_str!("../../../sql/target/unpopulated.sql"), &[])?;
    let refresh: Vec<String> = rows
        .iter()
        .map(|row| format!("REFRESH MATERIALIZED VIEW {};", row.text("name")))
        .collect();
    Ok((!refresh.is_empty()).then(|| Remark {
        severity: Severity::Info,
        message: "materialized views are there without their contents: refresh them at switchover, once all rows are there"
            .to_owned(),
        detail: Some(refresh.join("\n")),
    }))
}

fn unmoved(session: &mut Session) -> Result<Vec<Remark>, Failure> {
    let rows = session.source.query(
        include_str!("../../../sql/source/unmoved.sql"),
        &[Some(&quote::array(&PROVIDERS_SCHEMAS))],
    )?;
    let database = session
        .target
        .query("select current_database() as name", &[])?[0]
        .string("name");
    let (settings, things): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.text("kind") == "setting");
    let mut remarks = Vec::new();
    if !things.is_empty() {
        let list: Vec<String> = things
            .iter()
            .map(|row| format!("{} {}", row.text("kind"), ident(row.text("name"))))
            .collect();
        remarks.push(Remark {
            severity: Severity::Info,
            message: format!("left on the source by design: {}", list.join(", ")),
            detail: None,
        });
    }
    if !settings.is_empty() {
        let names: Vec<&str> = settings.iter().map(|row| row.text("name")).collect();
        let sql: Vec<String> = settings.iter().map(|row| setting(row, &database)).collect();
        remarks.push(Remark {
            severity: Severity::Warning,
            message: format!(
                "settings of the source's database or role that the application may rely on are not carried over: {}",
                names.join(", ")
            ),
            detail: Some(sql.join("\n")),
        });
    }
    Ok(remarks)
}

/// The SQL that makes it on the target. An application's own settings have a dot in their name, and may be secrets.
fn setting(row: &Row, database: &str) -> String {
    let (name, value) = (row.text("name"), row.opt("value").unwrap_or_default());
    let whose = match row.opt("role") {
        Some(role) => format!("ROLE {} IN DATABASE {}", ident(role), ident(database)),
        None => format!("DATABASE {}", ident(database)),
    };
    if name.contains('.') {
        return format!("ALTER {whose} SET {name} = '...'; -- as on the source");
    }
    let value = if row.flag("listed") {
        value.to_owned()
    } else {
        literal(value)
    };
    format!("ALTER {whose} SET {name} = {};", value.trim())
}
