//! The fence raised, and `repl_fence`.

use std::time::{Duration, Instant};

use super::Errand;
use crate::capture::{self, fence, revocation};
use crate::failure::Failure;
use crate::pg::{note, xact};
use crate::quote::{self, literal};
use crate::step::Outcome;
use crate::subscription::{self, Fence};

impl Errand {
    /// `repl_fence`: raises the fence and waits for those who write behind it.
    pub(super) fn fence(
        &mut self,
        timeout: Duration,
        terminate: bool,
        revoke: bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + timeout;
        self.begin("fence")?;
        if revoke {
            let message = self.revoke()?;
            self.done(&message)?;
        } else {
            self.raise()?;
            self.done("the source refuses writes")?;
        }
        self.begin("barrier")?;
        let waited = self.barrier(deadline, timeout, terminate)?;
        if !revoke {
            self.confirm()?;
        }
        let id = self.subscription.id;
        let message = format!(
            "fenced: nobody writes any more, after {} ms; to let them: SELECT repl_unfence('{}')",
            waited.as_millis(),
            self.subscription.name
        );
        xact::run(|| {
            subscription::set_fence(id, Some(Fence::Standing));
            self.run
                .end(self.number, Outcome::Done, &message, None, true);
            Ok(())
        })
    }

    /// From when this returns no statement that begins on the source writes to a captured table.
    pub(super) fn raise(&mut self) -> Result<(), Failure> {
        self.announce()?;
        let names = self.names.clone();
        self.raised = Some(Instant::now());
        fence::raise(self.source()?, &names)?;
        self.raised = Some(Instant::now());
        Ok(())
    }

    /// The classical way. What cannot be revoked is told.
    fn revoke(&mut self) -> Result<String, Failure> {
        const SHOWN: usize = 5;
        let caller = self.caller;
        let mut schemas = note::take(caller)?;
        if schemas.is_empty() {
            schemas = self.relations.iter().map(|r| r.schema.clone()).collect();
            schemas.sort();
            schemas.dedup();
        }
        let names = self.names.clone();
        if revocation::stands(self.source()?, &names)? {
            return Ok("rights to write are revoked already".to_owned());
        }
        self.announce()?;
        self.raised = Some(Instant::now());
        let source = self.source()?;
        let (revoked, left) = revocation::revoke(source, &names, &schemas)?;
        let rows = source.query(
            "select c.oid::int8 as oid from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = any ($1::text[]) and c.relkind in ('r', 'p')",
            &[Some(&quote::array(&schemas))],
        )?;
        self.others = rows.iter().map(|row| row.oid("oid")).collect();
        let mut message = format!(
            "{revoked} rights to write to tables of schemas {} are revoked; superusers have them all the same",
            schemas.join(", ")
        );
        if !left.is_empty() {
            message.push_str(&format!(
                "; {} are not ours to revoke: {}{}",
                left.len(),
                left[..left.len().min(SHOWN)].join("; "),
                if left.len() > SHOWN { "; ..." } else { "" }
            ));
        }
        Ok(message)
    }

    /// Written down before the source is touched, so that whoever finds us dead takes it back. From now on the apply worker does
    /// nothing but replay.
    pub(super) fn announce(&mut self) -> Result<(), Failure> {
        let id = self.subscription.id;
        if self.announced {
            return Ok(());
        }
        self.confirm_triggers()?;
        self.untouched.set(false);
        // one that stands is nobody's to take back
        if self.before != Some(Fence::Standing) {
            xact::run(|| {
                subscription::set_fence(id, Some(Fence::Raising));
                Ok(())
            })?;
        }
        self.announced = true;
        Ok(())
    }

    /// After the barrier: there is no way round the fence. Errors: 55000.
    pub(super) fn confirm(&mut self) -> Result<(), Failure> {
        let names = self.names.clone();
        let standing = fence::standing(self.source()?, &names)?;
        if !standing.is_whole() {
            return Err(Failure::new(
                "55000",
                "the fence has a hole: somebody made capture functions anew meanwhile",
            )
            .detail(format!(
                "{} of {} refuse writes.",
                standing.fenced, standing.functions
            ))
            .hint("Wait until all tables are ready (repl_tables), then call it again."));
        }
        self.confirm_triggers()
    }

    /// The fence is in the capture triggers' functions: where a trigger is missing or off, there is none.
    pub(super) fn confirm_triggers(&mut self) -> Result<(), Failure> {
        let (names, oids) = (self.names.clone(), self.captured());
        let watch = capture::watch(self.source()?, &names, &oids)?;
        let Some(oid) = watch.broken.first() else {
            return Ok(());
        };
        let relation = self.relations.iter().find(|r| r.oid == *oid);
        let table = relation.map_or_else(|| oid.to_string(), |r| r.shown());
        Err(Failure::new(
            "55000",
            format!("table {table} cannot be fenced: its capture triggers are dropped or disabled"),
        )
        .hint(format!(
            "SELECT repl_resync('{}', {}); copies it anew and captures it again.",
            self.subscription.name,
            literal(&table).trim()
        )))
    }
}
