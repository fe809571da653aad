//! Tables that are copied in pieces, each at a snapshot of its own, while their rows move from piece to piece.

use decamp_tests::hold::Hold;
use decamp_tests::load::Running;
use decamp_tests::observe::SOON;
use decamp_tests::{Pair, wait};

/// About 12 MB full pages: an updated row goes to another page.
const TABLE: &str = "create table moving (id int primary key, code int not null unique, n int not null default 0, pad text); \
     create index on moving (n)";
const ROWS: &str = "insert into moving select i, i, 0, repeat(md5(i::text), 8) from generate_series(1, 40000) as i; analyze moving";

fn prepared(pair: &Pair) {
    pair.on_both(TABLE);
    pair.source.app(ROWS);
}

/// Rows change, come, go, and hand their code to others, all the time.
fn busy(pair: &Pair) -> Running {
    pair.source
        .pgbench()
        .script("\\set id random(1, 39900)\nupdate moving set n = n + 1 where id between :id and :id + 20;\n")
        .script(
            "\\set a random(1, 40000)\n\\set b random(1, 40000)\nbegin;\n\
             select id from moving where id in (:a, :b) order by id for update;\n\
             update moving set code = - code where id = :a;\n\
             update moving set code = 100000 + :a where id = :b and not exists (select from moving where code = 100000 + :a);\n\
             update moving set code = :b where id = :a and not exists (select from moving where code = :b);\n\
             end;\n",
        )
        .script("\\set id random(1, 40000)\nbegin;\ndelete from moving where id = :id;\ninsert into moving values (:id, 200000 + :id, 0, 'again') on conflict do nothing;\nend;\n")
        .rate(150)
        .through_restarts()
        .start()
}

/// What can give rows that are there twice, between the snapshots of two chunks: the first 5000 ids are copied, the last 5000
/// are not.
const BETWEEN: &[&str] = &[
    // to other pages
    "update moving set n = n + 1 where id % 7 = 0",
    // unique values from row to row, both ways, and in a circle
    "begin; update moving set code = - code where id between 1 and 100; \
     update moving set code = code - 35000 where id between 35001 and 35100; commit",
    "begin; update moving set code = - code where id between 36001 and 36100; \
     update moving set code = code + 35900 where id between 101 and 200; commit",
    "begin; update moving set code = - code where id in (300, 37000); update moving set code = 37300 + code where id = 300; commit; \
     update moving set code = 300 where id = 37000; update moving set code = 37000 where id = 300",
    // deleted and inserted again: the key, or a unique value under another key
    "begin; delete from moving where id between 400 and 500; \
     insert into moving select i, i, 1, 'again' from generate_series(400, 500) as i; commit",
    "delete from moving where id between 600 and 700",
    "insert into moving select 100000 + i, i, 1, 'under another key' from generate_series(600, 700) as i",
    // a key that changes, and one that takes its place
    "update moving set id = id + 200000 where id between 800 and 900",
    "insert into moving select i, 400000 + i, 1, 'in its place' from generate_series(800, 900) as i",
    "update moving set n = n + 1 where id % 3 = 0",
];

#[test]
fn chunks_rows_that_move() {
    let pair = Pair::start_cut();
    prepared(&pair);
    let hold = Hold::at_chunk(&pair, "moving", 4);
    pair.migrate("workers => 1");
    hold.wait();
    assert_eq!(pair.table("moving", "chunks_done"), "3");
    for sql in BETWEEN {
        pair.source.app(sql);
    }
    hold.release();
    pair.wait_for("streaming", SOON);
    pair.wait_until_built();
    let copied =
        pair.query("SELECT rows_copied > 45000 FROM repl_tables WHERE \"table\" = 'moving'");
    assert_eq!(
        copied, "t",
        "rows were copied twice, or this proves nothing"
    );
    pair.assert_migrated();
    let indexes =
        "SELECT count(*) FROM pg_index WHERE indrelid = 'moving'::regclass AND indisvalid";
    assert_eq!(pair.query(indexes), "3");
    pair.stop_migration();
}

#[test]
fn chunks_rows_that_move_under_load() {
    let pair = Pair::builder()
        .cut()
        .target_conf("pg_decamp.copy_rate_limit = '4MB'")
        .start();
    prepared(&pair);
    let load = busy(&pair);
    pair.migrate("workers => 2");
    pair.wait_for("streaming", SOON);
    assert!(
        pair.chunks("moving") >= 6,
        "{} chunks",
        pair.chunks("moving")
    );
    let copied = "SELECT sum(rows_copied) > 40000 FROM repl_tables";
    assert_eq!(
        pair.query(copied),
        "t",
        "rows were copied twice, or this proves nothing"
    );
    let before = pair.table("moving", "updated");
    pair.poll_table("moving", &format!("updated > {before} + 100"));
    load.stop(&pair.source);
    pair.wait_until_built();
    pair.assert_migrated();
    wait::until_true(SOON, "nothing is left to replay", || pair.deltas() == 0);
    pair.stop_migration();
}
