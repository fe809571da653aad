//! Every few seconds: sequences, and whether capture is still what it should be.

use super::Cycle;
use crate::capture::{self, Gap};
use crate::event::{self, Severity};
use crate::meter;
use crate::pg::xact;
use crate::relation;
use crate::replay::Trouble;
use crate::table::Kind;
use crate::worker::apply::Memory;

impl Cycle<'_> {
    /// Sequences, and whether capture is still what it should be.
    pub(super) fn look_around(&mut self, memory: &mut Memory) -> Result<(), Trouble> {
        self.follow_sequences(memory)?;
        self.look_at_capture()
    }

    pub(super) fn follow_sequences(&mut self, memory: &mut Memory) -> Result<(), Trouble> {
        let as_of = meter::now();
        let session = &mut *self.session;
        let complaints = self
            .sequences
            .follow(&mut session.source, &mut session.target)?;
        let name = session.subscription.name.clone();
        if !complaints.is_empty() {
            xact::run(|| {
                for complaint in &complaints {
                    event::record(
                        Severity::Warning,
                        &name,
                        &complaint.sequence,
                        &complaint.message,
                        None,
                    );
                }
                Ok(())
            })?;
        }
        memory.meter.sequences(as_of);
        Ok(())
    }

    fn look_at_capture(&mut self) -> Result<(), Trouble> {
        let session = &mut *self.session;
        let name = session.subscription.name.clone();
        let watched: Vec<(u32, bool)> = self
            .relations
            .iter()
            .filter(|r| r.is_captured() && r.state != relation::State::Errored)
            .map(|r| {
                let partitioned = self
                    .source
                    .tables
                    .iter()
                    .any(|t| t.oid == r.oid && t.kind == Kind::Partitioned);
                (r.oid, partitioned)
            })
            .collect();
        for gap in capture::gaps(&mut session.source, &session.names, &watched)? {
            match gap {
                Gap::Broken(oid) => {
                    return Err(Trouble {
                        failure: capture::missed(
                            "capture triggers on the source are dropped or disabled",
                            &name,
                        ),
                        table: Some(oid),
                    });
                }
                Gap::Partition { root, schema, name } => {
                    // tried again in the next round if the lock is not to be had now
                    capture::install_on_partition(
                        &mut session.source,
                        &session.names,
                        root,
                        &schema,
                        &name,
                    )
                    .ok();
                }
            }
        }
        Ok(())
    }
}
