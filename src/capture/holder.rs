//! Who has a table locked, in words for the person who can do something about it.

use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote;
use crate::row::Row;

/// What the lock is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// readers do not matter
    Install,
    /// everybody matters
    Remove,
}

/// Up to five, oldest first; empty when nobody has it locked any more or it is not for us to see. Never a statement.
pub fn holders(source: &mut Connection, oid: u32, purpose: Purpose) -> Result<String, Failure> {
    let oids = quote::array(&[oid.to_string()]);
    let everybody = (purpose == Purpose::Remove).to_string();
    let rows = source.query(
        include_str!("../../sql/source/holders.sql"),
        &[Some(&oids), Some(&everybody)],
    )?;
    let words: Vec<String> = rows.iter().take(5).map(in_words).collect();
    Ok(words.join("; "))
}

fn in_words(row: &Row) -> String {
    let age = row
        .opt("age")
        .map_or_else(|| "unknown".to_owned(), |age| format!("{age} s"));
    let user = row.opt("user").unwrap_or("unknown");
    if let Some(gid) = row.opt("gid") {
        return format!(
            "prepared transaction {} (user {user}, age {age})",
            quote::literal(gid)
        );
    }
    let what = if row.flag("wraparound") {
        ", an anti-wraparound vacuum, which does not give way"
    } else {
        ""
    };
    format!(
        "pid {} (user {user}, application {:?}, transaction age {age}{what})",
        row.opt("pid").unwrap_or("unknown"),
        row.opt("application").unwrap_or_default()
    )
}
