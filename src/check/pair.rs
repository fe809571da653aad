//! What only the two sides together tell: are they two, do their versions and encodings fit.

use super::finding::Findings;
use super::side::Side;
use crate::quote;

pub fn check(source: &mut Side, target: &mut Side, findings: &mut Findings) {
    say_versions(source, target, findings);
    say_encodings(source, target, findings);
    say_different(source, target, findings);
}

fn say_versions(source: &Side, target: &Side, findings: &mut Findings) {
    let (from, to) = (
        source.look.version() / 10_000,
        target.look.version() / 10_000,
    );
    if to < from {
        findings.warning(
            "versions",
            format!(
                "the target ({to}) is older than the source ({from}): what only the newer one knows cannot be imported"
            ),
            None,
        );
    } else {
        findings.ok("versions", format!("PostgreSQL {from} to {to}"));
    }
}

fn say_encodings(source: &Side, target: &Side, findings: &mut Findings) {
    let (from, to) = (&source.server.encoding, &target.server.encoding);
    if from == to {
        findings.ok("encoding", format!("{from} on both sides"));
    } else if to != "UTF8" || from == "SQL_ASCII" {
        findings.error(
            "0A000",
            "encoding",
            format!("the source's text ({from}) cannot safely be stored in the target's encoding ({to})"),
            target.sql(format!(
                "CREATE DATABASE {} ENCODING {} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'; -- and migrate into that",
                quote::ident(&format!("{}_new", target.server.database)),
                quote::literal(from),
            )),
        );
    } else {
        findings.warning(
            "encoding",
            format!(
                "text is converted from {from} to {to} on the way; bytes that are no valid {from} will stop their table"
            ),
            None,
        );
    }
}

/// Advisory locks are per database: if one held on the source is refused on the target, both are the same database, by
/// whatever names and addresses they were reached.
fn say_different(source: &mut Side, target: &mut Side, findings: &mut Findings) {
    let key = source.look.rows(
        findings,
        "source and target",
        "select k.key, pg_catalog.pg_try_advisory_xact_lock(k.key) as held \
         from (select (pg_catalog.random() * 4e18)::int8 as key offset 0) k",
        &[],
    );
    let Some(key) = key.map(|rows| rows[0].string("key")) else {
        return;
    };
    let free = target.look.rows(
        findings,
        "source and target",
        "select pg_catalog.pg_try_advisory_xact_lock($1::int8) as free",
        &[Some(&key)],
    );
    match free.map(|rows| rows[0].flag("free")) {
        Some(true) => findings.ok("source and target", "two different databases"),
        Some(false) => findings.error(
            "22023",
            "source and target",
            "source and target are the same database",
            Some(
                "-- source: give the connection string of the database to move away from"
                    .to_owned(),
            ),
        ),
        None => {}
    }
    source.look.renew();
    target.look.renew();
}
