//! Arguments, checked: what is wrong with one is said in its own words, with SQLSTATE and hint.

use std::time::Duration;

use pgrx::datum::Interval;

use crate::capture::fence;
use crate::failure::Failure;
use crate::pg::{activity, server, spi};
use crate::relation::{self, Relation};
use crate::subscription::{self, State, Subscription};

/// Errors: 22004 for NULL.
pub fn required<T>(value: Option<T>, argument: &str) -> Result<T, Failure> {
    value.ok_or_else(|| {
        Failure::new("22004", format!("argument \"{argument}\" must not be NULL"))
            .hint(format!("Write {argument} => '...'."))
    })
}

/// Errors: 22004 for a NULL in the array.
pub fn list(
    value: Option<Vec<Option<String>>>,
    argument: &str,
) -> Result<Option<Vec<String>>, Failure> {
    value
        .map(|items| items.into_iter().collect::<Option<Vec<String>>>())
        .map(|list| {
            list.ok_or_else(|| {
                Failure::new(
                    "22004",
                    format!("argument \"{argument}\" must not contain NULL"),
                )
                .hint("It is an array of patterns such as array['public.*', 'sales.ord*'].")
            })
        })
        .transpose()
}

/// Errors: 22023 for a name we cannot make objects of.
pub fn name(value: &str) -> Result<(), Failure> {
    let mut chars = value.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_lowercase());
    let rest = chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if first && rest && value.len() <= 41 {
        return Ok(());
    }
    Err(Failure::new("22023", format!("invalid subscription name {value:?}"))
        .hint("A name is a lower-case letter followed by at most 40 lower-case letters, digits or underscores."))
}

/// A month counts 30 days, as in the server's own arithmetic (`justify_days`). Errors: 22023 when negative.
pub fn duration(interval: &Interval, argument: &str) -> Result<Duration, Failure> {
    let days = i64::from(interval.months()) * 30 + i64::from(interval.days());
    let micros = days
        .saturating_mul(86_400_000_000)
        .saturating_add(interval.micros());
    u64::try_from(micros)
        .map(Duration::from_micros)
        .map_err(|_| {
            let message = format!("argument \"{argument}\" must not be negative");
            Failure::new("22023", message).hint("Leave it out for the default.")
        })
}

/// Errors: 22023 outside 1 to 64.
pub fn workers(value: i32) -> Result<(), Failure> {
    if (1..=64).contains(&value) {
        return Ok(());
    }
    Err(Failure::new(
        "22023",
        format!("argument \"workers\" is {value}, it must be between 1 and 64"),
    )
    .hint("Leave it out for 4; more than there are processors to share rarely helps."))
}

/// For every function that takes a connection string: hides the statement from other eyes, refuses all but superusers.
/// Errors: 42501.
pub fn conninfo_allowed(function: &str) -> Result<(), Failure> {
    activity::hide_statement(&format!("SELECT {function}(...)"));
    if server::is_superuser() {
        return Ok(());
    }
    Err(Failure::new("42501", format!("only superusers may call {function}"))
        .detail("A connection string makes this server connect anywhere with its own identity.")
        .hint("repl_pause, repl_resume, repl_wait, repl_add_table, repl_resync and repl_stop can be granted to other roles with GRANT EXECUTE."))
}

/// A table's name, quoted as in SQL: its parts, the last one the table's. Errors: 22023.
pub fn table(value: &str) -> Result<Vec<String>, Failure> {
    const PART: &str = r#"("([^"]|"")+"|[[:alpha:]_][[:alnum:]_$]*)"#;
    let parts = spi::read(
        "select case when $1 operator(pg_catalog.~) $2 \
                     then pg_catalog.array_to_json(pg_catalog.parse_ident($1))::text end as parts",
        &[
            Some(value),
            Some(&format!(r"^\s*{PART}(\s*\.\s*{PART})*\s*$")),
        ],
    )[0]
    .opt("parts")
    .map(str::to_owned)
    .ok_or_else(|| {
        Failure::new("22023", format!("{value:?} is not the name of a table"))
            .hint("Write it as in SQL: 'public.orders' or '\"Mixed\".\"Case\"'.")
    })?;
    Ok(serde_json::from_str(&parts).expect("array_to_json of text[] without NULLs"))
}

/// A subscription's table, by `schema.name` or, if only one schema has it, by name. Errors: 42P01, 42P09, 22023.
pub fn followed(subscription: &Subscription, table: &str) -> Result<Relation, Failure> {
    let unknown = || {
        Failure::new(
            "42P01",
            format!("subscription {:?} has no table {table}", subscription.name),
        )
        .hint(format!(
            "SELECT schema, \"table\" FROM repl_tables WHERE subscription = '{}'; partitions go with their root.",
            subscription.name
        ))
    };
    let wanted = self::table(table)?;
    if wanted.len() > 2 {
        return Err(unknown());
    }
    match relation::named(subscription.id, &wanted).as_slice() {
        [oid] => relation::by_oid(subscription.id, *oid).ok_or_else(unknown),
        [] => Err(unknown()),
        _ => Err(ambiguous(table)),
    }
}

/// The error for a name that several schemas have.
pub fn ambiguous(table: &str) -> Failure {
    Failure::new("42P09", format!("several schemas have a table {table}"))
        .hint("Write it with its schema: 'public.name'.")
}

/// Errors: 55000 before the subscription has begun to copy, when it has stopped, and when it has switched over.
pub fn refuse_early(subscription: &Subscription) -> Result<(), Failure> {
    match subscription.state {
        State::Copying | State::Catchup | State::Streaming => return Ok(()),
        State::Finished => return Err(switched_over(subscription)),
        _ => {}
    }
    let message = format!(
        "subscription {:?} is {}",
        subscription.name,
        subscription.state.as_str()
    );
    Err(Failure::new("55000", message)
        .detail("Nothing has been changed: its tables can be worked on once it has begun to copy.")
        .hint("SELECT * FROM repl_status tells what it waits for."))
}

/// The error for what cannot be done with one that has switched over. SQLSTATE 55000.
pub fn switched_over(subscription: &Subscription) -> Failure {
    Failure::new(
        "55000",
        format!(
            "subscription {:?} has switched over already",
            subscription.name
        ),
    )
    .detail("Nothing has been changed by this call: nothing is replayed any more.")
    .hint(after_switchover(subscription))
}

/// What can be typed then.
pub fn after_switchover(subscription: &Subscription) -> String {
    let name = &subscription.name;
    match subscription::counterpart(subscription.id) {
        None => {
            format!("SELECT repl_stop('{name}'); ends it and lets the source take writes again.")
        }
        Some(back) => format!(
            "SELECT repl_switchover('{0}'); goes back. To stay for good: SELECT repl_stop('{0}'); then SELECT repl_stop('{name}');",
            back.name
        ),
    }
}

/// Errors: 55000 while the source is fenced: what would have to be made there would be a hole in the fence.
pub fn refuse_fenced(subscription: &Subscription) -> Result<(), Failure> {
    if subscription.fence.is_none() {
        return Ok(());
    }
    Err(fence::refusal(&subscription.name))
}
