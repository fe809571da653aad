//! The way back. Before the source is fenced, the target gets capture of its own, by a subscription that leads the other way,
//! and is fenced too: from then until the last step is committed only we write there, and what we write is not captured. So
//! what is written to the target after the switchover goes back to the source, from the first row on, and at no time both sides
//! take writes.
//!
//! Where the other subscription is there already, because this one is itself a way back, capture and fence have stood since
//! the switchover before.

use std::time::{Duration, Instant};

use super::{Errand, LOWERING, PATIENCE};
use crate::applied;
use crate::capture::segment::{self, Segment};
use crate::capture::{self, Names, Purpose, fence};
use crate::catalog;
use crate::event::{self, Severity};
use crate::failure::Failure;
use crate::libpq::{Connection, Role};
use crate::pg::worker::{self, APPLY_CLASS, Kind, SWITCHOVER_CLASS};
use crate::pg::{latch, report, server, xact};
use crate::relation::{self, Relation};
use crate::retry::Backoff;
use crate::session;
use crate::subscription::{self, New, State, Subscription};
use crate::switchover;
use crate::table::Table;
use crate::uninstall;

/// All of the target's tables together are waited for so long.
const INSTALLING: Duration = Duration::from_secs(60);

/// How capture comes on a table.
type PutOn = fn(&mut Connection, &Names, &Table, &[Segment]) -> Result<(), Failure>;

/// The subscription that leads back, not yet at work.
pub(super) struct WayBack {
    subscription: Subscription,
    names: Names,
    /// to its source, which is our target; holds the fence's lock there
    source: Connection,
}

impl Errand {
    /// Ready to begin with the last step. Nothing of it is left if that does not come.
    pub(super) fn arm(&mut self) -> Result<String, Failure> {
        let id = self.subscription.id;
        match xact::run(|| Ok(subscription::counterpart(id)))? {
            Some(finished) if finished.state == State::Finished => self.recall(&finished),
            Some(armed) if armed.state == State::Armed => {
                disarm(&armed)?;
                self.arm_anew()
            }
            Some(other) => Err(Failure::new(
                "55000",
                format!(
                    "subscription {:?} leads back and is {}",
                    other.name,
                    other.state.as_str()
                ),
            )
            .hint(format!(
                "SELECT repl_stop('{}'); then call it again.",
                other.name
            ))),
            None => self.arm_anew(),
        }
    }

    /// One that has switched over to here, and goes on with what is written there after the last step.
    fn recall(&mut self, back: &Subscription) -> Result<String, Failure> {
        let message = self.look_back(back)?;
        let (back, uuid) = (back.id, &back.uuid);
        let known = xact::run(|| Ok(relation::of(back)))?;
        let tables = self.targets()?;
        // repl_ddl, repl_add_table and repl_remove_table since
        let changed = self.changed(&known, &tables)?;
        let new: Vec<Table> = tables
            .iter()
            .filter(|t| known.iter().all(|r| r.oid != t.oid))
            .cloned()
            .collect();
        let gone = known
            .iter()
            .filter(|r| tables.iter().all(|t| t.oid != r.oid));
        self.untouched.set(false);
        xact::run(|| {
            // what is known of the old ones is of no use
            for table in &changed {
                relation::remove(back, table.oid);
            }
            for table in changed.iter().chain(&new) {
                relation::insert(back, table);
            }
            for relation in gone {
                relation::leave(back, relation.oid);
            }
            Ok(())
        })?;
        for table in changed.iter().filter(|t| t.key.is_empty()) {
            applied::forget_snapshot(self.source()?, uuid, table.oid)?;
        }
        self.capture_all(&changed, capture::renew_fenced, Purpose::Remove)?;
        self.capture_all(&new, capture::install_fenced, Purpose::Install)?;
        Ok(message)
    }

    /// Those of `tables` that are not what they were when capture was put on them.
    fn changed(&mut self, known: &[Relation], tables: &[Table]) -> Result<Vec<Table>, Failure> {
        let oids: Vec<u32> = known.iter().map(|r| r.oid).collect();
        let back = self.way_back.as_mut().expect("it is being armed");
        let prints = catalog::fingerprints(&mut back.source, &oids)?;
        let is_another = |relation: &Relation| {
            let shape = prints.get(&relation.oid).map(|print| &print.shape);
            relation.fingerprint.as_ref().map(|print| &print.shape) != shape
        };
        Ok(tables
            .iter()
            .filter(|t| known.iter().any(|r| r.oid == t.oid && is_another(r)))
            .cloned()
            .collect())
    }

    /// Errors: 55000 when it cannot go on.
    pub(super) fn look_back(&mut self, back: &Subscription) -> Result<String, Failure> {
        let WayBack { names, source, .. } = self.way_back.insert(reach(back)?);
        if !capture::own(source, names, &back.uuid)? || !fence::standing(source, names)?.is_whole()
        {
            return Err(Failure::new(
                "55000",
                format!(
                    "the database that writes are to go to has lost the fence of subscription {:?}",
                    back.name
                ),
            )
            .detail("It may have taken writes of its own since the last switchover.")
            .hint(format!(
                "SELECT repl_stop('{}'); forgets it. SELECT * FROM repl_verify('{}'); tells whether it has, and repair => true \
                 undoes them. The next call arms a new way back.",
                back.name, self.subscription.name
            )));
        }
        Ok(format!(
            "{} leads back: it goes on with what is written there after the last step",
            back.name
        ))
    }

    fn arm_anew(&mut self) -> Result<String, Failure> {
        self.untouched.set(false);
        let id = xact::run(|| self.write_down())?;
        let back = xact::run(|| Ok(subscription::by_id(id)))?
            .ok_or_else(|| Failure::new("55000", "somebody has stopped the way back"))?;
        // known from here on, so that it is taken back whatever happens
        let WayBack { names, source, .. } = self.way_back.insert(reach(&back)?);
        capture::prepare(source, names, &back.uuid)?;
        fence::admit(source, names, &self.subscription.uuid)?;
        let tables = self.targets()?;
        xact::run(|| {
            for table in &tables {
                relation::insert(back.id, table);
            }
            Ok(())
        })?;
        self.capture_all(&tables, capture::install_fenced, Purpose::Install)?;
        let ours = self.names.clone();
        fence::admit(self.source()?, &ours, &back.uuid)?;
        Ok(format!(
            "{} leads back: what is written to {} tables of the target after the last step goes to the source; until then the target \
             takes no writes but ours",
            back.name,
            tables.len()
        ))
    }

    /// The row of a new one; its id. Needs a transaction.
    fn write_down(&self) -> Result<i32, Failure> {
        let forward = &self.subscription;
        let name = switchover::way_back(&forward.name);
        if subscription::by_name(&name).is_ok() {
            return Err(Failure::new(
                "42710",
                format!("the way back would be subscription {name:?}, and there is another one of that name"),
            )
            .hint(format!(
                "SELECT repl_stop('{name}'); ends that one. Or go over without a way back: repl_switchover('{}', reverse => false).",
                forward.name
            )));
        }
        let (source, target) = (forward.target_info()?, forward.source_info()?);
        let source_text = forward.target.clone().unwrap_or_else(|| source.shown());
        let id = subscription::insert(&New {
            name: &name,
            owner: &forward.owner,
            source: &source_text,
            source_shown: &source.shown(),
            target: Some(&forward.source),
            target_shown: &target.shown(),
            tables: forward.tables.as_deref(),
            exclude: forward.exclude.as_deref(),
            workers: forward.workers,
            copy_schema: false,
            copy_data: false,
            counterpart: Some(forward.id),
        });
        Ok(id)
    }

    /// The tables that we replay into.
    fn targets(&mut self) -> Result<Vec<Table>, Failure> {
        let pairs = self.counterparts()?;
        Ok(pairs.into_iter().map(|(_, target)| target).collect())
    }

    /// Fenced from the beginning: what we replay meanwhile is not to be captured. Replay goes on, and both wait for each other's locks.
    fn capture_all(
        &mut self,
        tables: &[Table],
        put_on: PutOn,
        purpose: Purpose,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + INSTALLING;
        let mut backoff = Backoff::default();
        let mut open: Vec<&Table> = tables.iter().collect();
        loop {
            self.check_caller()?;
            let back = self.way_back.as_mut().expect("it is being armed");
            let segments = segment::read(&mut back.source, &back.names)?;
            let mut locked = None;
            let mut left = Vec::new();
            for table in open {
                match put_on(&mut back.source, &back.names, table, &segments) {
                    Ok(()) => {}
                    Err(failure) if failure.is_lock_timeout() => {
                        left.push(table);
                        locked = Some(failure);
                    }
                    Err(failure) => return Err(failure),
                }
            }
            open = left;
            capture::settle(&mut back.source, &back.names)?;
            let (Some(failure), Some(first)) = (locked, open.first()) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                let who = capture::holders(&mut back.source, first.oid, purpose)?;
                return Err(failure
                    .detail(format!("In the way on the target: {who}."))
                    .hint("End those sessions or wait for them, then call it again."));
            }
            latch::wait(backoff.next());
        }
    }

    /// Before the last step: nobody but us has written where writes go next. Errors: 55000.
    pub(super) fn confirm_way_back(&mut self) -> Result<(), Failure> {
        let Some(back) = &mut self.way_back else {
            return Ok(());
        };
        if fence::standing(&mut back.source, &back.names)?.is_whole() {
            return Ok(());
        }
        Err(Failure::new(
            "55000",
            format!(
                "the fence of subscription {:?} has gone from the target, by other hands",
                back.subscription.name
            ),
        )
        .hint("Find out who made its capture functions anew, then call it again."))
    }

    /// In the transaction of the last step.
    pub(super) fn awake_way_back(&self) -> Result<(), Failure> {
        let Some(back) = &self.way_back else {
            return Ok(());
        };
        let Subscription { id, name, .. } = &back.subscription;
        subscription::awake(&back.subscription);
        worker::start(Kind::Apply, server::database_oid(), *id, name)?;
        event::record(
            Severity::Info,
            name,
            "subscription",
            &format!("begins: {} has switched over", self.subscription.name),
            None,
        );
        Ok(())
    }

    pub(super) fn way_back_name(&self) -> Option<String> {
        let back = self.way_back.as_ref()?;
        Some(back.subscription.name.clone())
    }

    /// After the last step: the target takes writes as soon as our own worker cannot write there any more.
    pub(super) fn open_way_back(&mut self) -> Result<(), Failure> {
        let id = self.subscription.id;
        let Some(mut back) = self.way_back.take() else {
            return Ok(());
        };
        let deadline = Instant::now() + LOWERING;
        let opened = loop {
            let writers = xact::run(|| {
                super::wake_apply_worker(id);
                Ok(worker::pids(APPLY_CLASS, id))
            })?;
            let tried = if writers.is_empty() {
                fence::lower(&mut back.source, &back.names)
            } else {
                Err(Failure::new("55006", "the apply worker has not ended yet"))
            };
            match tried {
                Ok(()) => break Ok(()),
                Err(failure) if Instant::now() >= deadline => break Err(failure),
                Err(failure) if failure.disconnected => {
                    if let Ok(source) = connect(&back.subscription) {
                        back.source = source;
                    }
                }
                Err(_) => {}
            }
            latch::wait(Duration::from_millis(2));
        };
        if opened.is_ok() {
            xact::run(|| {
                subscription::set_fence(back.subscription.id, None);
                Ok(())
            })?;
        }
        worker::release(SWITCHOVER_CLASS, back.subscription.id);
        opened
    }

    /// It has not come to the last step.
    pub(super) fn disarm(&mut self) {
        let known = self.way_back.take().map(|back| back.subscription.id);
        let id = self.subscription.id;
        let disarmed = xact::guarded(|| {
            let armed = xact::run(|| Ok(subscription::armed_counterpart(id)))?;
            armed.as_ref().map_or(Ok(()), disarm)
        });
        if let Err(failure) = disarmed {
            report::log(&format!(
                "{}: the way back is taken off the target later: {}",
                self.subscription.name,
                failure.line()
            ));
        }
        if let Some(back) = known {
            worker::release(SWITCHOVER_CLASS, back);
        }
    }
}

/// Alone at it, until it is disarmed or open.
fn reach(back: &Subscription) -> Result<WayBack, Failure> {
    if !worker::claim(SWITCHOVER_CLASS, back.id, PATIENCE) {
        return Err(Failure::new(
            "55006",
            format!("another call is at work for subscription {:?}", back.name),
        )
        .hint("Wait for it, or cancel it."));
    }
    match connect(back) {
        Ok(source) => Ok(WayBack {
            subscription: back.clone(),
            names: Names::of(&back.name),
            source,
        }),
        Err(failure) => {
            worker::release(SWITCHOVER_CLASS, back.id);
            Err(failure)
        }
    }
}

/// With the fence's lock.
fn connect(back: &Subscription) -> Result<Connection, Failure> {
    let mut source = session::open(back, Role::Source, "switchover")?;
    fence::lock(&mut source, &back.uuid, PATIENCE)?;
    Ok(source)
}

/// Takes capture off the target again, and forgets the subscription.
pub fn disarm(back: &Subscription) -> Result<(), Failure> {
    let mut source = session::open(back, Role::Source, "stop")?;
    uninstall::run(&mut source, back)?;
    xact::run(|| {
        subscription::drop_armed(back.id);
        Ok(())
    })
}
