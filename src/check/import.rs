//! The programs that import the schema: are they there, are they new enough.

use super::finding::Findings;
use crate::import::Client;

pub fn check_programs(source_version: i32, findings: &mut Findings) {
    let subject = "schema import";
    match Client::find(source_version) {
        Ok(client) => findings.ok(
            subject,
            format!(
                "{} in {}",
                client.versions.join(", "),
                client.directory.display()
            ),
        ),
        Err(failure) => {
            let sqlstate = match failure.sqlstate.as_str() {
                "0A000" => "0A000",
                _ => "58P01",
            };
            findings.error(sqlstate, subject, failure.line(), failure.hint);
        }
    }
}
