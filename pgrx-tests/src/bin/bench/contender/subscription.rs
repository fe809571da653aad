//! PostgreSQL's own logical replication: a publication, a subscription, until every table's initial copy is over.

use std::time::{Duration, Instant};

use decamp_tests::Server;
use decamp_tests::server::client::told;
use decamp_tests::wait;

use super::programs::copy_schema;
use super::{Contender, Run};
use crate::stage::{Stage, TARGET};

/// The publication's and the subscription's.
const NAME: &str = "bench";

pub struct Subscription;

fn call(server: &Server, database: &str, sql: &str) -> Result<Vec<Vec<String>>, String> {
    server.try_rows(database, sql).map_err(|error| told(&error))
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
        let source = &run.stage.pair.source;
        let uri = run.stage.source_superuser_uri(run.database, run.port);
        let began = Instant::now();
        copy_schema(run)?;
        let publication = format!("CREATE PUBLICATION {NAME} FOR ALL TABLES");
        call(source, run.database, &publication)?;
        let subscription =
            format!("CREATE SUBSCRIPTION {NAME} CONNECTION '{uri}' PUBLICATION {NAME}");
        call(run.target(), TARGET, &subscription)?;

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
        let source = &run.stage.pair.source;
        let drop = format!("DROP SUBSCRIPTION IF EXISTS {NAME}");
        call(run.target(), TARGET, &drop)?;
        let drop = format!("DROP PUBLICATION IF EXISTS {NAME}");
        call(source, run.database, &drop)?;
        // those of a copy that failed; what is in use is let go in a moment
        let slots =
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active";
        wait::within(Duration::from_secs(10), || {
            let left = call(source, "postgres", slots)
                .and_then(|_| call(source, "postgres", "SELECT FROM pg_replication_slots"));
            left.is_ok_and(|left| left.is_empty()).then_some(())
        })
        .ok_or("a replication slot is left".into())
    }
}
