//! PostgreSQL's own logical replication: a publication, a subscription, until every table's initial copy is over.

use std::time::{Duration, Instant};

use decamp_tests::server::client::told;
use decamp_tests::wait;

use super::programs::copy_schema;
use super::{Contender, Run, call_source, call_target, drop_slots};
use crate::stage::{Stage, TARGET};

/// The publication's and the subscription's.
const NAME: &str = "bench";

pub struct Subscription;

/// Holds it, or lets it go on.
pub fn set_enabled(run: &Run, enabled: bool) -> Result<(), String> {
    let verb = if enabled { "ENABLE" } else { "DISABLE" };
    call_target(run, &format!("ALTER SUBSCRIPTION {NAME} {verb}"))
}

impl Contender for Subscription {
    fn name(&self) -> &'static str {
        "subscription"
    }

    fn about(&self, jobs: usize) -> String {
        format!(
            "built-in logical replication: pg_dump --schema-only into psql, CREATE PUBLICATION FOR ALL TABLES, \
             CREATE SUBSCRIPTION, max_sync_workers_per_subscription = {jobs}"
        )
    }

    fn lacks(&self, _: &Stage) -> Option<String> {
        None
    }

    fn copy(&self, run: &Run) -> Result<Duration, String> {
        let uri = run.stage.source_superuser_uri(run.database, run.port);
        let began = Instant::now();
        copy_schema(run)?;
        let publication = format!("CREATE PUBLICATION {NAME} FOR ALL TABLES");
        call_source(run, &publication)?;
        let subscription =
            format!("CREATE SUBSCRIPTION {NAME} CONNECTION '{uri}' PUBLICATION {NAME}");
        call_target(run, &subscription)?;

        let mut client = run.target().connect(TARGET);
        let ready =
            "SELECT FROM pg_subscription_rel HAVING count(*) > 0 AND bool_and(srsubstate = 'r')";
        let finished = wait::within(run.timeout, || match client.query(ready, &[]) {
            Ok(rows) if rows.is_empty() => None,
            Ok(_) => Some(Ok(began.elapsed())),
            Err(error) => Some(Err(told(&error))),
        });
        finished.unwrap_or_else(|| Err(format!("not ready within {:?}", run.timeout)))
    }

    fn clean_up(&self, run: &Run) -> Result<(), String> {
        call_target(run, &format!("DROP SUBSCRIPTION IF EXISTS {NAME}"))?;
        call_source(run, &format!("DROP PUBLICATION IF EXISTS {NAME}"))?;
        drop_slots(run)
    }
}
