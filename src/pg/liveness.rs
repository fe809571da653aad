//! Whether a worker still has a reason to live: looked at once a second, also in the middle of waits on the source or
//! target, so that DROP EXTENSION, DROP DATABASE and `repl_stop` never wait for us.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::{server, spi, xact};

const EVERY: Duration = Duration::from_secs(1);

/// Called once a second with nothing locked and no transaction open.
type Callback = Box<dyn Fn()>;

thread_local! {
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    static CALLBACK: RefCell<Option<Callback>> = const { RefCell::new(None) };
    static EXTENSION: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Starts the watch: exits the process when the extension (this very creation of it) or the database goes away, and
/// calls `callback` each time otherwise.
pub fn watch(extension: u32, callback: impl Fn() + 'static) {
    EXTENSION.set(Some(extension));
    CALLBACK.set(Some(Box::new(callback)));
}

/// The oid of the extension, if it exists in this database. Needs a transaction.
pub fn extension_oid() -> Option<u32> {
    spi::read(
        "select oid::int8 as oid from pg_catalog.pg_extension where extname = 'pg_decamp'",
        &[],
    )
    .first()
    .map(|row| row.oid("oid"))
}

/// Looks, if a second has passed since the last look. Does nothing in a process without a watch or inside a transaction.
pub fn tick() {
    let Some(extension) = EXTENSION.get() else {
        return;
    };
    if xact::is_open() || LAST.get().is_some_and(|last| last.elapsed() < EVERY) {
        return;
    }
    LAST.set(Some(Instant::now()));
    let (present, dropping) = xact::run(|| {
        Ok((
            extension_oid() == Some(extension),
            is_being_dropped(extension),
        ))
    })
    .expect("looking never fails otherwise than by ERROR");
    if !present {
        server::exit(0);
    }
    if dropping {
        // with code 1 the postmaster starts us again in a moment: should the DROP fail, we go on; else we see it then
        server::exit(1);
    }
    CALLBACK.with_borrow(|callback| {
        if let Some(callback) = callback {
            callback();
        }
    });
}

/// DROP DATABASE and DROP EXTENSION first lock their object's catalog row exclusively; the one then gives sessions in the
/// database five seconds to leave, the other waits for whoever uses the extension's tables: us.
/// (`dropdb`, `CountOtherDBBackends`, `get_object_address` in PostgreSQL's sources, all versions we run on.)
fn is_being_dropped(extension: u32) -> bool {
    let rows = spi::read(
        "select true as hit from pg_catalog.pg_locks \
         where locktype = 'object' and mode = 'AccessExclusiveLock' and pid <> pg_catalog.pg_backend_pid() \
           and (classid = 'pg_catalog.pg_database'::pg_catalog.regclass and database = 0 and objid = $1::oid \
                or classid = 'pg_catalog.pg_extension'::pg_catalog.regclass and database = $1::oid \
                   and objid = $2::oid)",
        &[
            Some(&server::database_oid().to_string()),
            Some(&extension.to_string()),
        ],
    );
    !rows.is_empty()
}
