//! What is wrong with one sequence, and what to type about it.

use super::listing::Sequence;
use super::position::Obstacle;
use crate::failure::{Failure, Origin};
use crate::quote;

/// SQLSTATE of what is only to be known: the sequence is set.
pub const REMARK: &str = "01000";

/// The target has no such sequence.
pub fn missing(source: &Sequence) -> Failure {
    let definition = &source.definition;
    Failure::new("42P01", "the target has no such sequence")
        .at(Origin::Target)
        .hint(format!(
            "On the target: CREATE SEQUENCE {} AS {} INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {}{}; then \
             call this again.",
            source.qualified(),
            source.type_name,
            definition.increment,
            definition.min,
            definition.max,
            source.start,
            source.cache,
            if definition.cycles { " CYCLE" } else { "" },
        ))
}

/// Our role may not read it, or not set it.
pub fn forbidden(sequence: &Sequence, rights: &str, role: &str, origin: Origin) -> Failure {
    Failure::new("42501", "permission denied").at(origin).hint(format!(
        "On the {origin}, as its owner: GRANT {rights} ON SEQUENCE {} TO {}; then call this again.",
        sequence.qualified(),
        quote::ident(role)
    ))
}

/// The owning column cannot be looked at without reading a large table.
pub fn unmeasured(table: &str, column: &str) -> Failure {
    Failure::new(
        REMARK,
        format!("set; what {table} has already was not looked at"),
    )
    .at(Origin::Target)
    .hint(format!(
        "No index begins with column {column}. If somebody writes its values by hand: SELECT max({column}) FROM {table};"
    ))
}

/// Why the target's sequence cannot be where it should.
pub fn hindered(obstacle: Obstacle, target: &Sequence) -> Failure {
    let name = target.qualified();
    match obstacle {
        Obstacle::Beyond(value) => beyond(value, target),
        Obstacle::Opposite => Failure::new(
            "55000",
            "counts in the other direction than the source's; left as it was",
        )
        .at(Origin::Target)
        .hint(format!(
            "On the target: ALTER SEQUENCE {name} INCREMENT BY {}; then call this again.",
            -i128::from(target.definition.increment)
        )),
        Obstacle::Wraps => Failure::new(
            REMARK,
            "cycles, and would come to its beginning again; left as it was",
        )
        .at(Origin::Target)
        .hint("Its values repeat by design; after switchover set it yourself if it must not repeat the latest ones."),
    }
}

fn beyond(value: i128, target: &Sequence) -> Failure {
    let (name, definition) = (target.qualified(), &target.definition);
    let (least, most) = match target.type_name.as_str() {
        "smallint" => (i64::from(i16::MIN), i64::from(i16::MAX)),
        "integer" => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let (end, limit, most) = if definition.is_ascending() {
        ("MAXVALUE", definition.max, most)
    } else {
        ("MINVALUE", definition.min, least)
    };
    let remedy = if limit != most {
        format!("ALTER SEQUENCE {name} NO {end};")
    } else if most == i64::MAX || most == i64::MIN {
        return at_end(value, end, limit)
            .hint("No sequence goes further: check on the source how its values are used up.");
    } else {
        format!(
            "ALTER SEQUENCE {name} AS bigint; and its column: ALTER TABLE ... TYPE bigint, which rewrites the table;"
        )
    };
    at_end(value, end, limit).hint(format!("On the target: {remedy} then call this again."))
}

fn at_end(value: i128, end: &str, limit: i64) -> Failure {
    Failure::new(
        "22003",
        format!("{value} is past its {end} {limit}; it was not set there"),
    )
    .at(Origin::Target)
}
