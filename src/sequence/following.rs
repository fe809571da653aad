//! What the apply worker does every few seconds: carries over what has moved on the source. Forward only: what somebody has
//! set further on the target stays, and a sequence that is restarted on the source does not pull the target's back.

use std::collections::{HashMap, HashSet};

use super::listing::{self, Sequence};
use super::position::{Goal, Position};
use super::setting::{Setting, set};
use crate::failure::Failure;
use crate::libpq::{Connection, Question};
use crate::retry::{Verdict, verdict};
use crate::selection::Choice;

/// The sequences of a subscription and what was last seen of them.
#[derive(Default)]
pub struct Sequences {
    followed: Vec<Sequence>,
    last: HashMap<u32, Position>,
    complained: HashSet<u32>,
}

/// Something a person should know about one sequence.
pub struct Complaint {
    pub sequence: String,
    pub message: String,
}

impl Sequences {
    /// Looks which sequences there are.
    pub fn refresh(
        &mut self,
        source: &mut Connection,
        choice: &Choice,
        taken: &[u32],
    ) -> Result<(), Failure> {
        self.followed = listing::listed(source)?;
        self.followed
            .retain(|s| s.is_followed(choice, |oid| taken.contains(&oid)));
        Ok(())
    }

    /// Carries over what has moved since the last time.
    pub fn follow(
        &mut self,
        source: &mut Connection,
        target: &mut Connection,
    ) -> Result<Vec<Complaint>, Failure> {
        let moved = self.moved(source)?;
        let settings: Vec<Setting> = moved
            .iter()
            .map(|(sequence, goal)| Setting {
                name: sequence.qualified(),
                increment: sequence.definition.increment,
                goal,
            })
            .collect();
        let mut complaints = Vec::new();
        for (outcome, (sequence, goal)) in set(target, &settings)?.into_iter().zip(&moved) {
            match outcome {
                Ok(_) => {
                    self.last.insert(sequence.oid, goal.position);
                    self.complained.remove(&sequence.oid);
                }
                Err(failure) => {
                    if self.complained.insert(sequence.oid) {
                        complaints.push(Complaint {
                            sequence: sequence.shown(),
                            message: format!("cannot be set on the target: {}", failure.line()),
                        });
                    }
                }
            }
        }
        Ok(complaints)
    }

    /// What [`Self::follow`] asks the source.
    pub fn questions(&self) -> Vec<Question> {
        listing::questions_of(&self.readable())
    }

    fn readable(&self) -> Vec<&Sequence> {
        self.followed.iter().filter(|s| s.readable).collect()
    }

    fn moved(&self, source: &mut Connection) -> Result<Vec<(Sequence, Goal)>, Failure> {
        let readable = self.readable();
        let looks = listing::positions(source, &readable)?;
        let mut moved = Vec::new();
        for (sequence, look) in readable.into_iter().zip(looks) {
            match look {
                Ok(look) if self.last.get(&sequence.oid) != Some(&look.position) => {
                    let goal = Goal {
                        position: look.position,
                        exactly: false,
                    };
                    moved.push((sequence.clone(), goal));
                }
                Ok(_) => {}
                // dropped since the list was made: not in the next one
                Err(failure) if failure.sqlstate == "42P01" => {}
                Err(mut failure) => {
                    // of one sequence, which must not stop what concerns tables
                    if verdict(&failure) != Verdict::Retry {
                        failure.sqlstate = "40001".to_owned();
                    }
                    return Err(failure);
                }
            }
        }
        Ok(moved)
    }
}
