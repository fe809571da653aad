//! Bad luck while a table is copied: it stops alone, says why and what to do, and once that is mended `repl_resume` finishes it
//! without copying again what is done.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use decamp_tests::copying::{chunked, table};
use decamp_tests::installation::{give_to_postgres, make_directory};
use decamp_tests::observe::SOON;
use decamp_tests::pair::TARGET_DATABASE;
use decamp_tests::source::DATABASE;
use decamp_tests::{Mode, Pair};

const MINUTE: Duration = Duration::from_secs(60);

/// What each needs, made on the target before the import gets there.
const OBSTACLES: &str = "create type mood as enum ('glad'); \
    create table refused (id int primary key, n int not null default 0, value text, constraint no_2500 check (id <> 2500)); \
    create table felt (id int primary key, n int not null default 0, value text, mood mood); \
    create table crowded (id int primary key, n int not null default 0, value text); \
    create function disk_full() returns trigger language plpgsql as $$ begin \
        raise exception using errcode = 'disk_full', message = 'could not extend file \"base/5/17\": No space left on device'; end $$; \
    create trigger full_disk before insert on crowded for each row when (new.id = 2500) execute function disk_full(); \
    alter table crowded enable always trigger full_disk";

/// Each of these comes upon its obstacle in its third megabyte.
#[test]
fn copy_refused_by_the_target() {
    let pair = chunked().start();
    pair.sql(OBSTACLES);
    for name in ["refused", "felt", "crowded", "fine"] {
        pair.source.app(&table(name, 6));
    }
    pair.source.app(
        "create type mood as enum ('glad', 'blue'); alter table felt add column mood mood default 'glad'; \
         update felt set mood = 'blue' where id = 2500",
    );
    pair.migrate("workers => 2");
    let done = [
        pair.assert_stopped("refused", "23514", &["no_2500", "public.refused"]),
        pair.assert_stopped("felt", "22P02", &["mood", "public.felt"]),
        pair.assert_stopped("crowded", "53100", &["disk_full()", "make room"]),
    ];
    pair.poll_table("fine", "state = 'ready'");
    pair.poll_status("summary like '3 of 4 tables stopped%' and hint is not null");
    for done in &done {
        assert!(done.count() > 0, "the chunks around it are copied");
    }
    pair.source.app(
        "update refused set n = 1 where id < 100; update felt set n = 1 where id < 100; \
         delete from crowded where id < 100; update fine set n = 1",
    );
    pair.poll("select bool_and(n = 1) from fine");

    pair.sql("alter table refused drop constraint no_2500");
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_table("refused", "state = 'ready' and error is null");
    pair.sql("drop trigger full_disk on crowded");
    pair.sql("alter type mood add value 'blue'");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", MINUTE);
    for done in done {
        done.assert_kept(&pair);
    }
    pair.assert_migrated();
    pair.stop_migration();
}

#[test]
fn copy_changed_under_its_feet() {
    let pair = chunked()
        .target_conf("pg_decamp.copy_rate_limit = '4MB'")
        .start();
    for (name, megabytes) in [("stricter", 12), ("revoked", 11), ("fine", 2)] {
        pair.source.app(&table(name, megabytes));
    }
    pair.migrate("workers => 1");
    pair.poll_half_way("stricter", 1);
    pair.sql(
        "alter table stricter add column more int not null default 0; alter table stricter alter column more drop default",
    );
    let stricter = pair.assert_stopped("stricter", "23502", &["more", "public.stricter"]);
    pair.poll_half_way("revoked", 1);
    pair.source
        .sql(DATABASE, "revoke select on revoked from app");
    let revoked = pair.assert_stopped("revoked", "42501", &["revoked", "GRANT"]);
    pair.limit_copy(0);
    pair.poll_table("fine", "state = 'ready'");
    pair.sql("alter table stricter drop column more");
    pair.source.sql(DATABASE, "grant select on revoked to app");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", MINUTE);
    for done in [stricter, revoked] {
        assert!(done.count() > 0);
        done.assert_kept(&pair);
    }
    pair.assert_migrated();
}

/// A byte that the source's encoding has, and no other.
#[test]
fn copy_of_bytes_that_are_no_text() {
    let pair = Pair::start();
    pair.source.speak("WIN1252");
    pair.source.app(
        "create table latin (id int primary key, value text); create table plain (id int primary key, value text); \
         insert into plain select i, 'plain' from generate_series(1, 100) as i; \
         insert into latin select i, 'caf' from generate_series(1, 100) as i",
    );
    pair.source.app(
        "set client_encoding = 'WIN1252'; update latin set value = E'caf\\x81 noir' where id = 77",
    );
    pair.migrate("");
    pair.assert_stopped("latin", "22P05", &["UTF8", "0x81", "public.latin"]);
    pair.poll_table("plain", "state = 'ready'");
    pair.source.app(
        "set client_encoding = 'WIN1252'; update latin set value = E'caf\\xe9 noir' where id = 77",
    );
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("caught_up", SOON);
    let value = pair.query("select value from latin where id = 77");
    // the sides cannot be compared by hash: their bytes differ
    assert_eq!(value, "caf\u{e9} noir");
}

/// A row that the source itself cannot read any more.
#[test]
fn copy_of_a_damaged_row() {
    let pair = Pair::start();
    pair.source.app(
        "create table damaged (id int primary key, value text); alter table damaged alter column value set storage external; \
         insert into damaged select i, repeat('x', 10000) from generate_series(1, 20) as i; \
         create table fine (id int primary key); insert into fine values (1)",
    );
    let file = pair.source.query_one_text(
        DATABASE,
        "select pg_relation_filepath(reltoastrelid) from pg_class where oid = 'damaged'::regclass",
    );
    pair.source.stop(Mode::Fast);
    let file = pair.source.directory().join("data").join(file);
    let mut bytes = fs::read(&file).expect("the table's long values are there");
    bytes[..8192].fill(0);
    fs::write(&file, bytes).expect("and can be damaged");
    pair.source.start();

    pair.migrate("");
    let words = ["chunk number", "public.damaged"];
    pair.assert_stopped("damaged", "XX001", &words);
    pair.poll_table("fine", "state = 'ready'");
    pair.source
        .app("update damaged set value = 'mended' where id = 1");
    pair.query("SELECT repl_resume('heroku')");
    pair.poll_table("damaged", "state = 'ready' and error is null");
    pair.assert_migrated();
}

/// A file system of its own for a tablespace, if we may make one.
struct Disk(PathBuf);

impl Disk {
    fn of(megabytes: u32) -> Option<Self> {
        let path = PathBuf::from(format!("/tmp/pg_decamp-disk-{}", std::process::id()));
        make_directory(&path);
        let disk = Self(path);
        let made = disk.mount(&format!("size={megabytes}m"));
        give_to_postgres(&disk.0);
        if !made {
            let _ = writeln!(
                io::stderr(),
                "\nSKIPPED copy_onto_a_full_disk: no right to mount a file system"
            );
        }
        made.then_some(disk)
    }

    fn mount(&self, options: &str) -> bool {
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&self.0);
        command.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
        let _ = fs::remove_dir(&self.0);
    }
}

/// A disk that is really full. `copy_refused_by_the_target` has the same without one, for those who cannot mount.
#[test]
fn copy_onto_a_full_disk() {
    let Some(disk) = Disk::of(6) else { return };
    let pair = chunked().start();
    let mut client = pair.target.connect(TARGET_DATABASE);
    client
        .batch_execute(&format!(
            "create tablespace small location '{}'",
            disk.0.display()
        ))
        .expect("the directory is the server's");
    pair.sql("create table wide (id int primary key, n int not null default 0, value text) tablespace small");
    for (name, megabytes) in [("wide", 12), ("fine", 3)] {
        pair.source.app(&table(name, megabytes));
    }
    pair.migrate("workers => 2");
    let wide = pair.assert_stopped(
        "wide",
        "53100",
        &["No space left on device", "public.wide", "disk space"],
    );
    assert!(wide.count() > 0);
    pair.poll_table("fine", "state = 'ready'");
    assert!(disk.mount("remount,size=64m"), "a larger disk");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", MINUTE);
    wide.assert_kept(&pair);
    pair.assert_migrated();
}

/// What a server says to an allocation that is too large it says to other things too.
#[test]
fn copy_internal_error_is_not_blamed_on_a_row() {
    let pair = Pair::start();
    pair.sql(
        "create table odd (id int primary key, n int not null default 0, value text); \
         create function odd() returns trigger language plpgsql as $$ begin \
             raise exception using errcode = 'internal_error', message = 'cache lookup failed for function 4711'; end $$; \
         create trigger odd before insert on odd for each row when (new.id = 500) execute function odd(); \
         alter table odd enable always trigger odd",
    );
    pair.source.app(&table("odd", 1));
    pair.migrate("");
    pair.assert_stopped(
        "odd",
        "XX000",
        &["public.odd() line 1", "While copying public.odd"],
    );
    let told = pair.table("odd", "error || hint");
    assert!(
        !told.contains("1 GB") && !told.contains("largest row"),
        "{told}"
    );
    pair.sql("drop trigger odd on odd");
    pair.query("SELECT repl_resume('heroku')");
    pair.wait_for("streaming", MINUTE);
    pair.assert_migrated();
}
