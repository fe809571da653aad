//! Tables that come on the source later, and that the subscription's patterns match. They are told of, once; a person takes
//! them in.

use super::Cycle;
use crate::catalog;
use crate::event::{self, Severity};
use crate::libpq::Question;
use crate::offered;
use crate::pg::xact;
use crate::quote::literal;
use crate::relation;
use crate::replay::Trouble;
use crate::selection::{self, Obstacle};
use crate::table::Table;

fn roster_question() -> Question {
    Question::new(include_str!("../../../sql/source/roster.sql"))
}

impl Cycle<'_> {
    /// What [`Self::look_for_newcomers`] asks first; and what it goes on with the first time.
    pub(super) fn newcomer_questions(&self) -> Vec<Question> {
        let mut questions = vec![roster_question()];
        if self.roster.is_none() {
            questions.extend(catalog::questions());
        }
        questions
    }

    /// Reads the catalogs only when tables have come, gone or been renamed.
    pub(super) fn look_for_newcomers(&mut self) -> Result<(), Trouble> {
        let id = self.id();
        let source = &mut self.session.source;
        let roster = source.ask(&roster_question())?[0].string("roster");
        if self.roster.as_ref() == Some(&roster) {
            return Ok(());
        }
        let tables = catalog::tables(source)?;
        let selected = selection::select(&tables, &self.choice);
        let name = &self.session.subscription.name;
        xact::run(|| {
            let present: Vec<u32> = tables.iter().map(|t| t.oid).collect();
            offered::retain(id, &present);
            let followed = |t: &Table| relation::by_oid(id, t.oid).is_some();
            let could = selected.taken.iter().map(|t| (*t, None));
            let others = selected.obstacles.iter().map(|(t, o)| (*t, Some(o)));
            for (table, obstacle) in could.chain(others) {
                if matches!(obstacle, Some(Obstacle::LonePartition))
                    || followed(table)
                    || !offered::insert(id, table)
                {
                    continue;
                }
                let obstacle = obstacle.map_or("", |o| o.in_words());
                let message = format!("is new on the source and not followed{obstacle}");
                let hint = format!(
                    "SELECT repl_add_table({name}, {table}); takes it in; SELECT repl_remove_table({name}, {table}); leaves it out \
                     for good.",
                    name = literal(name),
                    table = literal(&table.shown())
                );
                event::record(
                    Severity::Warning,
                    name,
                    &table.shown(),
                    &message,
                    Some(&hint),
                );
            }
            Ok(())
        })?;
        self.roster = Some(roster);
        Ok(())
    }
}
