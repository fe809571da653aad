//! Sequences: the target's follow the source's every few seconds, forward only.

use std::collections::{HashMap, HashSet};

use crate::catalog::{self, Sequence};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::quote::qualified;
use crate::selection::Choice;

/// The sequences of a subscription and what was last seen of them.
#[derive(Default)]
pub struct Sequences {
    followed: Vec<Sequence>,
    last: HashMap<u32, Position>,
    complained: HashSet<u32>,
}

/// `last_value` and `is_called`.
type Position = (i64, bool);

/// Something a person should know about one sequence.
pub struct Complaint {
    pub sequence: String,
    pub message: String,
}

impl Sequences {
    /// Looks which sequences there are: those of the taken tables, and those the choice names.
    pub fn refresh(
        &mut self,
        source: &mut Connection,
        choice: &Choice,
        taken: &[u32],
    ) -> Result<(), Failure> {
        self.followed = catalog::sequences(source)?
            .into_iter()
            .filter(|s| {
                s.owner.is_some_and(|owner| taken.contains(&owner))
                    || (s.owner.is_none() && choice.wants(&s.schema, &s.name))
            })
            .collect();
        Ok(())
    }

    /// Carries over what has moved since the last time. Not transactional, like sequences themselves.
    pub fn follow(
        &mut self,
        source: &mut Connection,
        target: &mut Connection,
    ) -> Result<Vec<Complaint>, Failure> {
        let mut complaints = Vec::new();
        for (oid, value) in self.moved(source)? {
            let sequence = self
                .followed
                .iter()
                .find(|s| s.oid == oid)
                .expect("only followed ones were read");
            match set_forward(target, sequence, value) {
                Ok(()) => {
                    self.last.insert(oid, value);
                    self.complained.remove(&oid);
                }
                Err(failure) if failure.disconnected => return Err(failure),
                Err(failure) => {
                    if self.complained.insert(oid) {
                        complaints.push(Complaint {
                            sequence: crate::table::shown(&sequence.schema, &sequence.name),
                            message: format!("cannot be set on the target: {}", failure.line()),
                        });
                    }
                }
            }
        }
        Ok(complaints)
    }

    fn moved(&self, source: &mut Connection) -> Result<Vec<(u32, Position)>, Failure> {
        let mut moved = Vec::new();
        let readable: Vec<&Sequence> = self.followed.iter().filter(|s| s.readable).collect();
        for group in readable.chunks(200) {
            let parts: Vec<String> = group
                .iter()
                .map(|s| {
                    format!(
                        "select {}::int8 as oid, last_value, is_called from {}",
                        s.oid,
                        qualified(&s.schema, &s.name)
                    )
                })
                .collect();
            let rows = source.query(&parts.join(" union all "), &[]);
            for row in rows.map_err(gone_meanwhile)? {
                let value = (row.int("last_value"), row.flag("is_called"));
                if self.last.get(&row.oid("oid")) != Some(&value) {
                    moved.push((row.oid("oid"), value));
                }
            }
        }
        Ok(moved)
    }
}

/// A sequence that was dropped since the list was made: passes by looking again.
fn gone_meanwhile(mut failure: Failure) -> Failure {
    if failure.sqlstate == "42P01" {
        failure.sqlstate = "40001".to_owned();
    }
    failure
}

/// Sets the target's sequence unless that would move it backwards. What counts is the next value: `last_value` if it has
/// been called, else one step before it.
fn set_forward(
    target: &mut Connection,
    sequence: &Sequence,
    (last, called): Position,
) -> Result<(), Failure> {
    let name = qualified(&sequence.schema, &sequence.name);
    let step = sequence.increment;
    let ahead = if step > 0 { ">" } else { "<" };
    target.query(
        &format!(
            "select setval($1::regclass, $2::int8, $3::bool) from {name} t \
             where $2::numeric - case when $3::bool then 0 else {step} end \
                   {ahead} t.last_value::numeric - case when t.is_called then 0 else {step} end"
        ),
        &[
            Some(&name),
            Some(&last.to_string()),
            Some(&called.to_string()),
        ],
    )?;
    Ok(())
}
