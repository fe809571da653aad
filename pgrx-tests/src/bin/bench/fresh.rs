//! A database of its own on the source for each run that writes there.

use decamp_tests::server::client::told;
use decamp_tests::source::ROLE;

use super::contender::Run;
use super::race::get_ready;
use super::report::Report;
use super::settings::Settings;
use super::stage::Stage;

const TEMPLATE: &str = "follow";
const SQL: &str = include_str!("../../../bench/follow.sql");

pub struct Fresh<'a> {
    stage: &'a Stage,
    database: String,
}

impl<'a> Fresh<'a> {
    /// A new database with the data set, which is loaded when first wanted, and an empty target.
    pub fn make(stage: &'a Stage, settings: &Settings, report: &Report) -> Self {
        let source = &stage.pair.source;
        let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{TEMPLATE}'");
        if source.query_one_text("postgres", &there) == "0" {
            source.create_database(TEMPLATE);
            let mut client = source.connect_as(ROLE, TEMPLATE);
            let loaded = client
                .batch_execute(&format!("SET bench.scale = '{}'", settings.scale))
                .and_then(|()| client.batch_execute(SQL));
            loaded.unwrap_or_else(|error| panic!("{TEMPLATE}: {}", told(&error)));
            drop(client);
            source.sql(TEMPLATE, "VACUUM ANALYZE");
        }
        get_ready(stage, settings, report);
        Self {
            stage,
            database: stage.source_database(TEMPLATE),
        }
    }

    pub fn run(&self, settings: &Settings) -> Run<'_> {
        Run::new(self.stage, &self.database, settings)
    }
}
