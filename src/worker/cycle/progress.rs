//! How far the indexes are that copy workers are building on the target.

use super::Cycle;
use crate::pg::xact;
use crate::replay::Trouble;
use crate::task;

impl Cycle<'_> {
    pub(super) fn measure_builds(&mut self) -> Result<(), Trouble> {
        let id = self.id();
        let target = &mut self.session.target;
        if target.version() < 120_000 || !xact::run(|| Ok(task::is_building(id)))? {
            return Ok(());
        }
        let rows = target.query(include_str!("../../../sql/target/progress.sql"), &[])?;
        xact::run(|| {
            for row in &rows {
                task::built(id, row.int("pid"), row.text("part"));
            }
            Ok(())
        })?;
        Ok(())
    }
}
