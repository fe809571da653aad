//! The two servers and the application on the source: its data and its load.

use decamp_tests::Pair;
use decamp_tests::load::Running;
use decamp_tests::source::{DATABASE, Source};

use decamp_tests::screen::Screen;
use decamp_tests::watchman::Watchman;

/// The target's database, still empty.
pub const TARGET_DATABASE: &str = "app";
const SCALE: u32 = 10;
const BANK_RATE: u32 = 100;
const SHOP_RATE: u32 = 40;
const SHOP: &str = include_str!("../../../demo/shop.sql");
const SHOP_LOAD: &str = include_str!("../../../demo/shop_load.sql");
/// Each transaction of the load leaves one row in one of these.
const TRACES: &str =
    "SELECT (SELECT count(*) FROM pgbench_history) + (SELECT count(*) FROM shop.events)";

pub struct Stage {
    pub pair: Pair,
    /// Traces that the load did not leave.
    traces_before: u64,
    /// Last, so that the servers have been dropped before.
    _watchman: Watchman,
}

/// The application at work.
pub struct Load {
    bank: Running,
    shop: Running,
}

impl Stage {
    pub fn set_up(screen: &Screen) -> Self {
        let pair = Pair::builder().without_extension().start();
        let watchman = Watchman::guard(&[pair.source.directory(), pair.target.directory()]);
        pair.target.sql(
            "postgres",
            &format!("CREATE DATABASE {TARGET_DATABASE} TEMPLATE template0"),
        );
        screen.facts(&[
            ("Source", describe(&pair.source, "the old home, as Heroku gives it: TLS only, and role app owns its database but is no superuser and may not replicate")),
            ("Target", describe(&pair.target, "the new home: yours, and empty")),
        ]);

        screen.note("Loading the application's data ...");
        let _ = pair.source.pgbench().init(SCALE);
        // its sequence counts commits, which costs nothing
        pair.source
            .app("ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY");
        let loaded = pair.source.connect_as_app().batch_execute(SHOP);
        loaded.unwrap_or_else(|error| {
            panic!("shop.sql: {}", decamp_tests::server::client::told(&error))
        });
        screen.facts(&[(
            "Data",
            format!(
                "pgbench at scale {SCALE} and a small web shop: {} tables, {} with indexes",
                number(
                    &pair.source,
                    "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition \
                     AND relnamespace IN ('public'::regnamespace, 'shop'::regnamespace)"
                ),
                pair.source.query_one_text(DATABASE, "SELECT pg_size_pretty(pg_database_size(current_database()))")
            ),
        )]);
        let traces_before = number(&pair.source, TRACES);
        Self {
            pair,
            traces_before,
            _watchman: watchman,
        }
    }

    /// Starts to write at a steady rate, until [`Self::stop_load`].
    pub fn start_load(&self, screen: &Screen) -> Load {
        let source = &self.pair.source;
        let bank = source.pgbench().clients(2).rate(BANK_RATE).start();
        let shop = source
            .pgbench()
            .clients(2)
            .rate(SHOP_RATE)
            .script(SHOP_LOAD)
            .start();
        screen.facts(&[(
            "Writes",
            format!(
                "from now on, until we say so: {BANK_RATE} bank transactions (pgbench) and {SHOP_RATE} orders a second"
            ),
        )]);
        Load { bank, shop }
    }

    pub fn stop_load(&self, load: Load) {
        // the first one waits until nothing of both is open: so the other must have been told
        drop(load.shop);
        load.bank.stop(&self.pair.source);
    }

    /// What the load has committed, exactly; to be asked when it has stopped.
    pub fn committed_by_load(&self) -> u64 {
        number(&self.pair.source, TRACES) - self.traces_before
    }

    /// One big statement of the application. Returns how many rows it changed.
    pub fn bulk_update(&self) -> u64 {
        let mut client = self.pair.source.connect_as_app();
        let changed = client.execute(
            "UPDATE shop.customers SET preferences = preferences || '{\"newsletter\": false}'",
            &[],
        );
        changed.unwrap_or_else(|error| panic!("{}", decamp_tests::server::client::told(&error)))
    }
}

fn describe(server: &decamp_tests::Server, what: &str) -> String {
    let version = server.query_one_text("postgres", "SHOW server_version");
    let version = version.split(' ').next().unwrap_or_default();
    format!("PostgreSQL {version} on port {}, {what}", server.port())
}

fn number(source: &Source, sql: &str) -> u64 {
    source
        .query_one_text(DATABASE, sql)
        .parse()
        .expect("a count is a number")
}
