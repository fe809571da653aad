//! What the apply worker asks the source first. The greater part of it is known before there is a connection, so it is sent all at
//! once: behind a long line a backlog would otherwise wait for a score of round trips before its first row is on its way.

use crate::capture::{self, Names, fence, segment};
use crate::catalog::Snapshot;
use crate::failure::Failure;
use crate::libpq::Question;
use crate::pg::xact;
use crate::relation;
use crate::sequence;
use crate::snapshot;
use crate::subscription::Subscription;

/// In the order in which they are asked. `installed`: capture is on the source.
pub fn questions(
    subscription: &Subscription,
    names: &Names,
    installed: bool,
) -> Result<Vec<Question>, Failure> {
    let mut questions = vec![capture::lock_question(&subscription.uuid)];
    if !installed {
        return Ok(questions);
    }
    let relations = xact::run(|| Ok(relation::of(subscription.id)))?;
    let oids: Vec<u32> = relations.iter().map(|r| r.oid).collect();
    let keyed = relations.iter().filter(|r| r.has_captured_key());
    let keyed: Vec<u32> = keyed.map(|r| r.oid).collect();
    questions.extend(capture::origin_questions(names));
    questions.extend(Snapshot::questions(&oids));
    questions.push(segment::question(names));
    questions.push(capture::key_question(names, &keyed));
    questions.push(snapshot::question());
    questions.extend(of_a_look(names));
    Ok(questions)
}

/// What a look around goes on with when its snapshot is another than before.
pub fn of_a_look(names: &Names) -> [Question; 2] {
    [fence::question(names), sequence::question()]
}
