//! Our sessions on the source, watched from there: how many there are at a time, and how long each keeps a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::source::{DATABASE, Source};
use crate::wait;

const SQL: &str = "select pid, xact_start::text, backend_xmin is not null and application_name not like '% import', \
        extract(epoch from clock_timestamp() - xact_start)::float8 \
    from pg_stat_activity where application_name like 'pg_decamp %'";

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// sessions at a time
    pub most: usize,
    /// seconds that each transaction with a snapshot has been seen to last; without the schema's import
    pub snapshots: Vec<f64>,
    pub samples: u32,
}

/// Watches until [`Watch::end`].
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Watch {
    pub fn on(source: &Source) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let mut client = source.connect(DATABASE);
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            let mut ages: BTreeMap<(i32, String), f64> = BTreeMap::new();
            while !flag.load(Ordering::Relaxed) {
                let rows = client.query(SQL, &[]).expect("the source runs");
                seen.most = seen.most.max(rows.len());
                seen.samples += 1;
                for row in rows {
                    if row.get(2) {
                        let key = (row.get(0), row.get::<_, Option<_>>(1).unwrap_or_default());
                        let age: Option<f64> = row.get(3);
                        ages.insert(key, age.unwrap_or_default());
                    }
                }
                wait::pause(Duration::from_millis(10));
            }
            seen.snapshots = ages.into_values().collect();
            seen
        });
        Self { stop, thread }
    }

    pub fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("watching does not panic")
    }
}
