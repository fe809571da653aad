//! Unique values that go from row to row, and keys that do: at random, under every kind of unique index.

use fastrand::Rng;

/// Rows with an id from 1 to this; more than a batch takes.
pub const ROWS: u32 = 50_000;

/// `spot` is unique alone, `name` without regard to case, `turn` within a group, `flag` among the active, `during` excludes
/// what overlaps, `late` is unique at the end of a transaction. `sliced` is partitioned.
pub const TABLES: &str = "create table swapped (id int primary key, spot int unique, name text, grp int, turn int, active boolean, \
         flag int, during int4range, late int unique deferrable initially deferred, unique (grp, turn), \
         exclude using gist (during with &&)); \
     create unique index on swapped (lower(name)); create unique index on swapped (flag) where active; \
     create table sliced (id int, spot int, n int, primary key (id, spot), unique (spot, n)) partition by range (spot); \
     create table sliced_1 partition of sliced for values from (minvalue) to (20000); \
     create table sliced_2 partition of sliced for values from (20000) to (maxvalue); \
     create table calm (id int primary key, n int unique); insert into calm select i, i from generate_series(1, 100) as i";

pub fn rows() -> String {
    format!(
        "insert into swapped select i, i, 'Name ' || i, i % 10, i / 10, i % 2 = 0, i, int4range(i * 10, i * 10 + 10), i \
         from generate_series(1, {ROWS}) as i; \
         insert into sliced select i, i, i from generate_series(1, {ROWS}) as i; analyze"
    )
}

/// One transaction. No statement of it breaks a constraint; what it leaves, seen row by row, does.
pub fn transaction(rng: &mut Rng) -> String {
    let size = [2, 50, 5_000, ROWS][rng.usize(0..4)];
    let low = rng.u32(1..=ROWS - size + 1);
    let high = low + size - 1;
    let rows = format!("id between {low} and {high}");
    // the value of the row so far away, around the corner
    let step = rng.u32(1..size.max(2));
    match rng.u32(0..11) {
        0 => around("swapped", "spot", "-spot", &rows, step),
        1 => around("swapped", "name", "'away ' || name", &rows, step),
        2 => around(
            "swapped",
            "turn",
            "-turn - 1",
            &format!("{rows} and grp = {}", rng.u32(0..10)),
            step,
        ),
        3 => around("swapped", "flag", "-flag - 1", &rows, step),
        4 => around(
            "swapped",
            "during",
            "int4range(-upper(during), -lower(during))",
            &rows,
            step,
        ),
        5 => format!(
            "update swapped set late = {low} + (late - {low} + {step}) % {size} where late between {low} and {high}"
        ),
        6 => format!(
            "update swapped set active = not active, flag = flag + {ROWS} * (id % 7 + 2) where {rows} and flag between 0 and {ROWS}"
        ),
        // keys change places, and so everything else does
        7 => around("swapped", "id", "-id", &rows, step),
        // rows go, others come with their values
        8 => format!(
            "create temp table gone as select * from swapped where {rows} and id % 3 = 0; \
             delete from swapped where id in (select id from gone); \
             insert into swapped select - id - {}, spot, name, grp, turn, active, flag, during, late from gone; drop table gone",
            i64::from(rng.u32(1..1000)) * i64::from(ROWS)
        ),
        9 => around("sliced", "n", "-n", &rows, step),
        // from partition to partition
        _ => format!(
            "create temp table gone as select * from sliced where spot between {low} and {high}; \
             delete from sliced where spot between {low} and {high}; \
             insert into sliced select id, {low} + {high} - spot, n from gone; drop table gone"
        ),
    }
}

/// Each row gets the value of the one `step` further on in the order of keys.
fn around(table: &str, column: &str, away: &str, rows: &str, step: u32) -> String {
    let sign = if column == "id" { "-" } else { "" };
    format!(
        "create temp table s as select id as key, {column} as value, row_number() over (order by id) - 1 as place, \
             count(*) over () as total from {table} where {rows}; \
         create temp table moved as select o.key, s.value from s o join s on s.place = (o.place + {step}) % o.total; \
         update {table} set {column} = {away} where {rows}; \
         update {table} t set {column} = m.value from moved m where t.id = {sign}m.key; drop table s, moved"
    )
}
