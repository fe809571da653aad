//! pglogical, Debian's package: only as one that keeps a copy up to date.

use std::time::{Duration, Instant};

use decamp_tests::wait;

use super::programs::{copy_schema, package_version};
use super::{Contender, Run, call_target};
use crate::stage::{Stage, TARGET};

pub const NAME: &str = "pglogical";
/// The nodes' and the subscription's.
const OWN: &str = "bench";

pub struct Pglogical;

/// Holds the subscription, or lets it go on.
pub fn set_enabled(run: &Run, enabled: bool) -> Result<(), String> {
    let verb = if enabled { "enable" } else { "disable" };
    call_target(
        run,
        &format!("SELECT pglogical.alter_subscription_{verb}('{OWN}', immediate := true)"),
    )
}

impl Contender for Pglogical {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self, _: usize) -> String {
        format!(
            "pglogical {}: pg_dump --schema-only into psql, all tables in one replication set, one subscription",
            package_version("postgresql-15-pglogical")
        )
    }

    fn lacks(&self, stage: &Stage) -> Option<String> {
        let loaded = "SELECT FROM pg_settings WHERE name = 'pglogical.conflict_resolution'";
        let there = stage.pair.target.rows("postgres", loaded);
        there
            .is_empty()
            .then(|| "the extension is not installed".into())
    }

    fn copy(&self, run: &Run) -> Result<Duration, String> {
        let source = run.stage.source_superuser_uri(run.database, run.port);
        let target = run.target_conninfo();
        let began = Instant::now();
        copy_schema(run)?;
        run.stage
            .pair
            .source
            .sql(run.database, "CREATE EXTENSION pglogical");
        let node = format!(
            "SELECT pglogical.create_node('{OWN}_source', '{source}'); \
             SELECT pglogical.replication_set_add_all_tables('default', '{{public}}')"
        );
        run.stage.pair.source.sql(run.database, &node);
        call_target(run, "CREATE EXTENSION IF NOT EXISTS pglogical")?;
        call_target(
            run,
            &format!("SELECT pglogical.create_node('{OWN}_target', '{target}')"),
        )?;
        call_target(
            run,
            &format!("SELECT pglogical.create_subscription('{OWN}', '{source}')"),
        )?;
        let ready = format!(
            "SELECT FROM pglogical.show_subscription_status('{OWN}') WHERE status = 'replicating' \
             AND NOT EXISTS (SELECT FROM pglogical.local_sync_status WHERE sync_status NOT IN ('y', 'r'))"
        );
        let mut client = run.target().connect(TARGET);
        let finished = wait::within(run.timeout, || {
            let rows = client.query(&ready, &[]).ok()?;
            (!rows.is_empty()).then(|| began.elapsed())
        });
        finished.ok_or_else(|| format!("not ready within {:?}", run.timeout))
    }

    fn clean_up(&self, run: &Run) -> Result<(), String> {
        call_target(
            run,
            &format!("SELECT pglogical.drop_subscription('{OWN}', true)"),
        )?;
        super::drop_slots(run)
    }
}
