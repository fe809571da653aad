//! What shows that both sides are equal: gathered before the fence, completed behind it.

use std::time::{Duration, Instant};

use super::Errand;
use super::tally::Tally;
use super::verification::Proof;
use crate::failure::Failure;
use crate::switchover::Verify;

/// The part of max_downtime that what may be left out takes behind the fence.
const SHARE: u32 = 40;

pub(super) struct Evidence {
    pub tally: Tally,
    /// with `verify => 'checksum'`
    pub proof: Option<Proof>,
}

impl Evidence {
    pub(super) fn told_behind(&self, fenced: Instant) -> String {
        let counted = self.tally.told_behind(fenced);
        match &self.proof {
            None => counted,
            Some(proof) => format!("{}; {counted}", proof.told_behind()),
        }
    }

    /// How long completing it takes at most.
    pub(super) fn expected(&self, max_downtime: Duration) -> Duration {
        let proof = self.proof.as_ref().map(Proof::expected);
        let (all, necessary) = proof.unwrap_or_default();
        let (count_all, count_necessary) = self.tally.expected();
        (all + count_all)
            .min(max_downtime / SHARE)
            .max(necessary + count_necessary)
    }
}

impl Errand {
    /// Steps before the fence.
    pub(super) fn prove(
        &mut self,
        verify: Verify,
        max_downtime: Duration,
    ) -> Result<Option<Proof>, Failure> {
        if verify != Verify::Checksum {
            return Ok(None);
        }
        self.begin("verification")?;
        let proof = self.verify_before(max_downtime)?;
        self.done(&proof.told_before())?;
        Ok(Some(proof))
    }

    /// Behind the fence, drained; again when more was replayed. `last`: what differs now does so.
    pub(super) fn complete(&mut self, evidence: &mut Evidence, last: bool) -> Result<(), Failure> {
        let (_, max_downtime) = self.deadline.expect("behind the fence there is one");
        let budget = max_downtime / SHARE;
        let Evidence { tally, proof } = evidence;
        if let Some(proof) = proof {
            self.settle_sums(proof, tally, budget, last)?;
        }
        self.settle_counts(tally, budget, last)
    }
}
