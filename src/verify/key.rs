//! Looks at suspects again and again until each is known to be equal or different.

use std::collections::HashMap;

use super::passage::{self, Passage};
use super::range::Shapes;
use super::shape::{Key, Shape};
use super::sides::{Sides, array};
use super::suspect::{Difference, Seen, Sight, Suspect, Verdict};
use crate::failure::Failure;
use crate::libpq::Connection;
use crate::subscription::Subscription;

/// Keys that are asked for at once.
const AT_ONCE: usize = 500;
/// A key that has changed at so many looks is left alone.
const LOOKS: usize = 12;
/// When they are so few, the source is looked at while replay is waited for: a row that changes all the time is caught.
const SAMPLED: usize = 50;

/// What became of suspects.
#[derive(Debug, Default)]
pub struct Settled {
    pub different: Vec<(Key, Difference)>,
    /// changed at every look
    pub restless: usize,
    /// why the rest was not looked at
    pub stuck: Option<String>,
}

/// Suspects of one table.
pub struct Inquiry<'a> {
    pub subscription: &'a Subscription,
    pub oid: u32,
    pub shapes: &'a Shapes,
}

impl Inquiry<'_> {
    pub fn settle(&self, sides: &mut Sides, suspects: Vec<Suspect>) -> Result<Settled, Failure> {
        let mut settled = Settled::default();
        let mut waiting = suspects.into_iter();
        loop {
            let group: Vec<Suspect> = waiting.by_ref().take(AT_ONCE).collect();
            if group.is_empty() || settled.stuck.is_some() {
                return Ok(settled);
            }
            self.settle_group(sides, group, &mut settled)?;
        }
    }

    fn settle_group(
        &self,
        sides: &mut Sides,
        mut group: Vec<Suspect>,
        settled: &mut Settled,
    ) -> Result<(), Failure> {
        let (sights, mut moment) = see(&mut sides.source, &self.shapes.source, &group)?;
        for (suspect, sight) in group.iter_mut().zip(sights) {
            suspect.begin(sight);
        }
        for _ in 0..LOOKS {
            let sampled = group.len() <= SAMPLED && self.shapes.source.has_key();
            let passage = passage::wait(sides, self.subscription.id, self.oid, moment, |sides| {
                if sampled {
                    let (sights, _) = see(&mut sides.source, &self.shapes.source, &group)?;
                    for (suspect, sight) in group.iter_mut().zip(&sights) {
                        suspect.sample(sight);
                    }
                }
                Ok(())
            })?;
            if let Passage::Stuck(reason) = passage {
                settled.stuck = Some(reason);
                return Ok(());
            }
            let (targets, _) = see(&mut sides.target, &self.shapes.target, &group)?;
            let (sources, next) = see(&mut sides.source, &self.shapes.source, &group)?;
            moment = next;
            let mut left = Vec::new();
            for ((mut suspect, target), source) in group.into_iter().zip(targets).zip(sources) {
                match suspect.judge(target, source) {
                    Verdict::Equal => {}
                    Verdict::Different => {
                        let difference = suspect.difference();
                        settled.different.push((suspect.key, difference));
                    }
                    Verdict::Again => left.push(suspect),
                }
            }
            group = left;
            if group.is_empty() {
                return Ok(());
            }
        }
        settled.restless += group.len();
        Ok(())
    }
}

/// The rows with the suspects' keys on one side, and when that was.
fn see(
    connection: &mut Connection,
    shape: &Shape,
    suspects: &[Suspect],
) -> Result<(Vec<Sight>, i64), Failure> {
    let arrays: Vec<String> = (0..shape.width())
        .map(|at| array(suspects.iter().map(|s| s.key[at].clone())))
        .collect();
    let parameters: Vec<Option<&str>> = arrays.iter().map(|a| Some(a.as_str())).collect();
    let rows = connection.query(&shape.named(), &parameters)?;
    let moment = rows.first().map_or(0, |row| row.int("moment"));
    let mut seen: HashMap<i64, Seen> = HashMap::new();
    for row in rows.iter().filter(|row| row.flag("present")) {
        let now = Seen {
            hash: row.string("hash"),
            version: row.string("version"),
        };
        // should a side have several rows with one key, all of them count
        seen.entry(row.int("n"))
            .and_modify(|seen| {
                seen.hash += &now.hash;
                seen.version += &now.version;
            })
            .or_insert(now);
    }
    let sights = (1i64..).zip(suspects).map(|(n, _)| seen.remove(&n));
    Ok((sights.collect(), moment))
}
