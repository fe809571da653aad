//! What is looked at, and done on the target, before the fence.

use std::time::Duration;

use super::Errand;
use crate::capture::{Blocker, blockers};
use crate::failure::Failure;
use crate::pg::worker::{self, APPLY_CLASS};
use crate::pg::{spi, xact};
use crate::quote;
use crate::relation::{self, State};
use crate::subscription::{self, State as Stage};
use crate::task;

/// A replay that is further behind is waited for without a fence.
const MOST_LAG: i64 = 10;

impl Errand {
    /// Errors: 55000 with everything that is in the way.
    pub(super) fn check(&mut self, max_downtime: Duration) -> Result<String, Failure> {
        let mut problems = self.problems()?;
        let patience = i64::try_from(max_downtime.as_secs() / 2).unwrap_or(i64::MAX);
        let old: Vec<String> = self
            .writers()?
            .into_iter()
            .filter(|b| b.age.is_some_and(|age| age > patience.max(1)))
            .map(|b| b.in_words)
            .collect();
        if let Some(first) = old.first() {
            problems.push(format!(
                "{} transactions write for so long that the fence would wait too long for them, the oldest: {first}",
                old.len()
            ));
        }
        self.confirm_triggers()?;
        if !problems.is_empty() {
            return Err(Failure::new("55000", format!("not ready to switch over: {}", problems.join("; ")))
                .hint(format!(
                    "SELECT * FROM repl_status WHERE name = '{0}'; and SELECT * FROM repl_tables WHERE subscription = '{0}'; tell more. \
                     Once mended, call repl_switchover again.",
                    self.subscription.name
                )));
        }
        let verified = xact::run(|| Ok(last_verification(&self.subscription.name)))?;
        Ok(format!(
            "streaming, {} tables ready; {verified}",
            self.relations.len()
        ))
    }

    fn problems(&self) -> Result<Vec<String>, Failure> {
        let id = self.subscription.id;
        xact::run(|| {
            let mut problems = Vec::new();
            let Some(now) = subscription::by_id(id) else {
                return Ok(vec!["the subscription is gone".to_owned()]);
            };
            if now.state != Stage::Streaming {
                problems.push(format!("it is {}, not streaming", now.state.as_str()));
            }
            if !now.enabled {
                problems.push(format!(
                    "it is paused (SELECT repl_resume('{}');)",
                    now.name
                ));
            } else if worker::pids(APPLY_CLASS, id).is_empty() {
                problems.push(format!(
                    "no worker is running (SELECT repl_resume('{}');)",
                    now.name
                ));
            }
            for relation in &self.relations {
                if relation.state == State::Errored {
                    problems.push(format!("table {} has stopped", relation.shown()));
                } else if relation.state != State::Ready {
                    problems.push(format!("table {} is not ready", relation.shown()));
                }
            }
            let missing = task::open_builds(id)
                .into_iter()
                .filter(|t| !(now.ordinary && t.kind.is_firing()))
                .count();
            if missing > 0 {
                problems.push(format!(
                    "{missing} indexes and foreign keys are still being built on the target"
                ));
            }
            let row = spi::read_now(
                "select extract(epoch from pg_catalog.clock_timestamp() - complete_at)::int8 as lag, error \
                 from decamp.subscription where id = $1::int4",
                &[Some(&id.to_string())],
            );
            if let Some(row) = row.first() {
                match row.opt_int("lag") {
                    Some(lag) if lag > MOST_LAG => problems.push(format!("it lags by {lag} s")),
                    _ => {}
                }
                if let Some(error) = row.opt("error") {
                    problems.push(error.to_owned());
                }
            }
            Ok(problems)
        })
    }

    /// Errors: 55000 when what is waited for cannot come any more.
    pub(super) fn refuse_stopped(&self) -> Result<(), Failure> {
        let id = self.subscription.id;
        let stopped = xact::run(|| {
            let now = subscription::by_id(id);
            let relations = relation::of(id);
            Ok(match now {
                None => Some("the subscription is gone".to_owned()),
                Some(now) if !now.enabled => Some("the subscription was paused".to_owned()),
                Some(now) if now.state != Stage::Streaming => {
                    Some(format!("the subscription is {}", now.state.as_str()))
                }
                Some(_) => relations
                    .iter()
                    .find(|r| r.state != State::Ready)
                    .map(|r| format!("table {} is {}", r.shown(), r.state.as_str())),
            })
        })?;
        match stopped {
            None => Ok(()),
            Some(why) => Err(Failure::new("55000", format!("replay cannot go on: {why}"))
                .hint("SELECT * FROM repl_status and repl_tables tell what to do; then call it again.")),
        }
    }

    /// Who writes right now.
    pub(super) fn writers(&mut self) -> Result<Vec<Blocker>, Failure> {
        let tables = self.captured();
        blockers(self.source()?, &tables)
    }

    /// Those that have contents on the source get theirs.
    pub(super) fn refresh_views(&mut self) -> Result<String, Failure> {
        let (source, target) = self.sides()?;
        let populated: Vec<String> = source
            .query(include_str!("../../../sql/source/populated.sql"), &[])?
            .iter()
            .map(|row| row.string("name"))
            .collect();
        if populated.is_empty() {
            return Ok("the source has none".to_owned());
        }
        let views: Vec<String> = target
            .query(
                include_str!("../../../sql/target/materialized.sql"),
                &[Some(&quote::array(&populated))],
            )?
            .iter()
            .map(|row| row.string("name"))
            .collect();
        for view in &views {
            self.check_caller()?;
            let (_, target) = self.sides()?;
            target
                .batch(&format!("refresh materialized view {view}"))
                .map_err(|failure| {
                    let hint = format!("Mend it, or drop it and make it after the switchover, on the target: REFRESH MATERIALIZED VIEW {view};");
                    failure.during(format_args!("refreshing {view}")).hint(hint)
                })?;
        }
        Ok(format!("{} refreshed", views.len()))
    }

    /// Tables without statistics get them.
    pub(super) fn analyze(&mut self) -> Result<String, Failure> {
        let oids: Vec<String> = self
            .counterparts()?
            .iter()
            .map(|(_, target)| target.oid.to_string())
            .collect();
        let (_, target) = self.sides()?;
        let names: Vec<String> = target
            .query(
                include_str!("../../../sql/target/unanalyzed.sql"),
                &[Some(&quote::array(&oids))],
            )?
            .iter()
            .map(|row| row.string("name"))
            .collect();
        for name in &names {
            self.check_caller()?;
            let (_, target) = self.sides()?;
            target.batch(&format!("analyze {name}"))?;
        }
        Ok(match names.len() {
            0 => "all tables of the target have statistics".to_owned(),
            n => format!("{n} tables analyzed"),
        })
    }
}

/// Of all rows of all tables. Needs a transaction.
fn last_verification(subscription: &str) -> String {
    const NONE: &str = "no full verification is recorded";
    let known = spi::read(
        "select pg_catalog.to_regclass('decamp.verification') is not null as present",
        &[],
    )[0]
    .flag("present");
    if !known {
        return NONE.to_owned();
    }
    let rows = spi::read(
        "select v.mode, date_trunc('second', pg_catalog.clock_timestamp() - v.finished_at)::text as age, \
                (select count(*) from decamp.verified t where t.verification = v.id and t.equal is not true) as different \
         from decamp.verification v \
         where v.subscription = $1 and v.finished_at is not null and v.tables is null and v.mode <> 'schema' \
         order by v.finished_at desc limit 1",
        &[Some(subscription)],
    );
    rows.first().map_or_else(
        || NONE.to_owned(),
        |row| {
            let result = match row.int("different") {
                0 => "all equal".to_owned(),
                n => format!("{n} tables not equal"),
            };
            format!(
                "last full verification ({}) {} ago: {result}",
                row.text("mode"),
                row.text("age")
            )
        },
    )
}
