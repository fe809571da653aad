//! Tables with every kind of index, key and foreign key, kept in `deferral/*.sql`, and what they look like.

use std::fs::OpenOptions;
use std::io::Write;

use crate::pair::TARGET_DATABASE;
use crate::server::Server;
use crate::server::client::told;
use crate::source::{DATABASE, ROLE};
use crate::{Pair, Source};

/// From which major version on, up to which, and the file.
const FILES: &[(u32, u32, &str)] = &[
    (10, 99, include_str!("../deferral/zoo.sql")),
    (10, 10, include_str!("../deferral/zoo_pg10.sql")),
    (11, 99, include_str!("../deferral/zoo_pg11.sql")),
    (12, 99, include_str!("../deferral/zoo_pg12.sql")),
    (15, 99, include_str!("../deferral/zoo_pg15.sql")),
    (18, 99, include_str!("../deferral/zoo_pg18.sql")),
];
const ROWS: &str = include_str!("../deferral/rows.sql");

/// Makes the tables, without rows, in an empty database of a server, as `role`, a superuser. What both sides can have:
/// `major` is the lower one.
fn make(server: &Server, role: &str, database: &str, major: u32) {
    let space = server.directory().join("space");
    crate::installation::make_directory(&space);
    server.sql(
        "postgres",
        &format!(
            "CREATE TABLESPACE \"Deferral Space\" LOCATION '{}'",
            space.display()
        ),
    );
    let mut client = server.connect_as(role, database);
    for (from, to, file) in FILES {
        if (*from..=*to).contains(&major)
            && let Err(error) = client.batch_execute(file)
        {
            panic!("the tables of deferral/ cannot be made: {}", told(&error));
        }
    }
}

impl Pair {
    /// Makes the tables on both sides, with rows on the source, where they belong to the role. The files of tables are
    /// filled up with empty pages, so that all are large enough to be worth deferring.
    pub fn load_deferral_zoo(&self) {
        let major = self.source.major().min(self.target.major());
        let superuser = |yes: &str| {
            self.source
                .sql(DATABASE, &format!("ALTER ROLE {ROLE} {yes}"))
        };
        superuser("SUPERUSER");
        make(&self.source, ROLE, DATABASE, major);
        self.source.app(ROWS);
        superuser("NOSUPERUSER");
        make(&self.target, "postgres", TARGET_DATABASE, major);
        // has a foreign table, which cannot be read nor compared
        self.source.sql(DATABASE, "DROP TABLE IF EXISTS zoo.far");
        self.sql("DROP TABLE IF EXISTS zoo.far");
        swell(&self.source);
    }

    /// Tables of the source that cannot be taken, for want of a key: for `exclude`.
    pub fn keyless(&self) -> String {
        let rows = self.source.rows(
            DATABASE,
            "with recursive keyless(oid) as ( \
                 select c.oid from pg_class c \
                 where c.relkind in ('r', 'p') and not c.relispartition and not exists ( \
                     select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indisvalid \
                     and i.indpred is null and not exists ( \
                         select from unnest(i.indkey[0:i.indnkeyatts - 1]) k \
                         left join pg_attribute a on a.attrelid = c.oid and a.attnum = k \
                         where not coalesce(a.attnotnull, false))) \
                 union all \
                 select i.inhrelid from keyless k join pg_inherits i on i.inhparent = k.oid \
                 join pg_class c on c.oid = i.inhrelid where c.relispartition) \
             select format('%I.%I', n.nspname, c.relname) from keyless join pg_class c using (oid) \
             join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^(pg_|information_schema)'",
        );
        let names: Vec<String> = rows.into_iter().flatten().collect();
        format!("array['{}']", names.join("', '"))
    }

    /// Every index, constraint and table of the target, as text.
    pub fn definitions(&self) -> Vec<String> {
        let sql = format!(
            "SET search_path = pg_catalog; {}",
            include_str!("../deferral/definitions.sql")
        );
        let rows = self.target.rows(TARGET_DATABASE, &sql);
        rows.into_iter().map(|row| row.join(" | ")).collect()
    }
}

/// What is in the one and not in the other.
pub fn only(one: &[String], other: &[String]) -> Vec<String> {
    one.iter().filter(|d| !other.contains(d)).cloned().collect()
}

/// # Panics
/// When they differ; the message has what was lost and what is new.
pub fn assert_restored(before: &[String], after: &[String]) {
    assert!(
        before == after,
        "definitions lost: {:#?}\nnew: {:#?}",
        only(before, after),
        only(after, before)
    );
}

/// Appends a megabyte of empty pages to each table, which is what a crash may leave behind and a server makes nothing of.
fn swell(source: &Source) {
    source.sql(DATABASE, "CHECKPOINT");
    let data = source.query_one_text(DATABASE, "SHOW data_directory");
    let paths = "SELECT pg_relation_filepath(c.oid) FROM pg_class c \
                 WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'";
    for path in source.rows(DATABASE, paths).into_iter().flatten() {
        let file = std::path::Path::new(&data).join(path);
        OpenOptions::new()
            .append(true)
            .open(&file)
            .and_then(|mut file| file.write_all(&vec![0; 1 << 20]))
            .unwrap_or_else(|error| panic!("{file:?} is a table's file: {error}"));
    }
}
