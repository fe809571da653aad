//! The zoo: a realistic and nasty schema to migrate, kept in `zoo/*.sql`, each file for the versions that can have it.

use crate::server::Server;
use crate::server::client::told;

/// From which major version on, and the file.
const FILES: &[(u32, &str)] = &[
    (10, include_str!("../zoo/base.sql")),
    (10, include_str!("../zoo/fill.sql")),
    (11, include_str!("../zoo/pg11.sql")),
    (11, include_str!("../zoo/fill_pg11.sql")),
    (12, include_str!("../zoo/pg12.sql")),
    (12, include_str!("../zoo/fill_pg12.sql")),
    (14, include_str!("../zoo/pg14.sql")),
    (18, include_str!("../zoo/pg18.sql")),
];
const CONTRIB: &str = include_str!("../zoo/contrib.sql");

/// Makes and fills the zoo in an empty database, as `role`; its larger tables get about `rows` rows.
/// `contrib`: with citext and hstore, which the superuser creates before.
pub fn load(server: &Server, role: &str, database: &str, rows: u32, contrib: bool) {
    let mut files: Vec<&str> = FILES
        .iter()
        .filter(|(major, _)| server.major() >= *major)
        .map(|(_, sql)| *sql)
        .collect();
    if contrib {
        server.sql(database, "CREATE EXTENSION citext; CREATE EXTENSION hstore");
        files.push(CONTRIB);
    }
    let mut client = server.connect_as(role, database);
    client
        .batch_execute(&format!(
            "SET zoo.rows = {rows}; SET TimeZone = 'UTC'; SET lc_monetary = 'C'"
        ))
        .expect("a setting");
    for file in files {
        if let Err(error) = client.batch_execute(file) {
            let first = file.lines().next().unwrap_or_default();
            panic!(
                "the zoo does not load, in the file that begins with `{first}`: {}",
                told(&error)
            );
        }
    }
}
