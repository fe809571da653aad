//! Changes by whoever may write: other roles, functions, triggers, rules, views, blocks that fail half way.

use super::Scenario;

/// Membership in a role that owns nothing; for a superuser of the source.
pub const ROLES: &str = "create role clerk; grant clerk to app";

pub const WRITERS: &[Scenario] = &[
    // other roles, row security, search paths
    Scenario {
        tables: "create table written (id int primary key, who text default current_user, value text); \
                 alter table written enable row level security; \
                 create policy half on written using (id % 2 = 0) with check (true); \
                 create table written_parts (id int primary key, value text) partition by range (id); \
                 create table written_parts_1 partition of written_parts for values from (0) to (50); \
                 create table written_parts_2 partition of written_parts default; \
                 create function odd_path(n int) returns void language plpgsql set search_path = pg_temp as $$ \
                     begin update public.written set value = 'odd path' where id = n; \
                     insert into public.written_parts values (n + 1000, 'odd path'); end $$; \
                 create function empty_path(n int) returns void language sql set search_path = '' as \
                     'delete from public.written where id = n; update public.written_parts set id = id + 500 where id = n'; \
                 create function as_definer(n int) returns void language plpgsql security definer as $$ \
                     begin update written set id = -id, value = 'definer' where id = n; \
                     delete from written_parts where id = n; end $$",
        rows: "insert into written (id, value) select i, 'v' from generate_series(1, 60) as i; \
               insert into written_parts select i, 'v' from generate_series(1, 99) as i; \
               grant select, insert, update, delete, truncate on written, written_parts, written_parts_1 to clerk",
        changes: &[
            "begin; set local role clerk; update written set value = 'by clerk'; insert into written (id) values (201), (202); \
             delete from written where id in (3, 4); update written_parts set value = 'by clerk' where id % 3 = 0; commit",
            "begin; create temp table written (id int, value text); set local search_path = pg_temp, public; \
             insert into written values (1, 'not this one'); update public.written set value = 'this one' where id = 6; commit",
            "select odd_path(7), empty_path(8), as_definer(10)",
            "begin; set local role clerk; select odd_path(12), as_definer(14), empty_path(16); truncate written_parts_1; commit",
            "begin; set local role clerk; set local search_path = ''; update public.written set id = id + 1000 where id between 20 and 30; \
             insert into public.written_parts values (5, 'after'); commit",
            "begin; set local role clerk; truncate public.written; insert into written (id) values (1); reset role; \
             insert into written (id) values (2); commit",
        ],
    },
    // blocks that fail half way, many subtransactions
    Scenario {
        tables: "create table tried (id int primary key, value text, spot int unique); \
                 create table counted (name text primary key, n int)",
        rows: "insert into tried select i, 'v', i from generate_series(1, 100) as i; insert into counted values ('tries', 0)",
        changes: &[
            "do $$ begin \
                 update tried set value = 'kept' where id = 1; \
                 begin update tried set value = 'lost' where id = 2; delete from tried where id = 3; \
                     insert into tried values (4, 'twice', 1000); \
                 exception when unique_violation then insert into tried values (300, 'instead', 300); end; \
                 update counted set n = n + 1; end $$",
            "do $$ begin for i in 101..400 loop \
                 begin insert into tried values (i, 'loop', i % 120); update counted set n = n + 1; \
                     if i % 3 = 0 then raise exception 'no'; end if; \
                 exception when others then null; end; end loop; end $$",
            "begin; savepoint a; delete from tried where id < 20; savepoint b; update tried set spot = spot + 5000; \
             savepoint c; truncate tried; insert into tried values (1, 'only', 1); rollback to c; release b; \
             savepoint d; update tried set id = id + 5000 where id > 80; rollback to d; rollback to a; \
             delete from tried where id between 20 and 25; commit",
            "do $$ begin begin truncate tried; raise exception 'no'; exception when others then \
                 update tried set value = 'not truncated' where id > 50; end; end $$",
            "do $$ declare r record; begin for r in select * from tried where id between 30 and 40 for update loop \
                 begin delete from tried where id = r.id; insert into tried values (r.id, 'reborn', r.spot); \
                     if r.id % 2 = 0 then raise exception 'no'; end if; \
                 exception when others then update tried set value = 'stayed' where id = r.id; end; end loop; end $$",
            "begin; insert into tried values (9001, 'x', 9001); savepoint s; insert into tried values (9002, 'x', 9002); \
             rollback to s; insert into tried values (9002, 'y', 9003); release s; commit",
        ],
    },
    // triggers that change the row, its key, its neighbours, other tables; rules; views
    Scenario {
        tables: "create table busy (id int primary key, value text, n int default 0); \
                 create table busy_log (id int generated always as identity primary key, what text); \
                 create function busy_before() returns trigger language plpgsql as $$ begin \
                     if new.value = 'move' then new.id := new.id + 1000; end if; \
                     if new.value = 'skip' then return null; end if; \
                     new.n := new.n + 1; return new; end $$; \
                 create trigger busy_before before insert or update on busy for each row execute function busy_before(); \
                 create function busy_after() returns trigger language plpgsql as $$ begin \
                     if pg_trigger_depth() = 1 then update busy set n = n + 10 where id = new.id + 1; end if; \
                     insert into busy_log (what) values (tg_op || ' ' || new.id); return null; end $$; \
                 create trigger busy_after after insert or update on busy for each row execute function busy_after(); \
                 create function busy_all() returns trigger language plpgsql as $$ begin \
                     insert into busy_log (what) select 'gone ' || g.id from gone g; return null; end $$; \
                 create trigger busy_all after delete on busy referencing old table as gone for each statement \
                     execute function busy_all(); \
                 create table ruled (id int primary key, value text unique); create table ruled_log (id serial primary key, what text); \
                 create rule ruled_insert as on insert to ruled do also insert into ruled_log (what) values ('insert ' || new.id); \
                 create rule ruled_update as on update to ruled where new.value = 'divert' \
                     do instead update ruled_log set what = 'diverted' where id = old.id; \
                 create rule ruled_delete as on delete to ruled do also delete from ruled_log where what = 'insert ' || old.id; \
                 create table ruled_away (id int primary key, value text); \
                 create rule away as on insert to ruled_away where new.value = 'away' do instead nothing; \
                 create rule stay as on delete to ruled_away where old.value = 'stay' do instead nothing; \
                 create view busy_view as select id, value from busy where id > 10 with check option; \
                 create view joined as select b.id, b.value, r.value as other from busy b join ruled r using (id); \
                 create function joined_write() returns trigger language plpgsql as $$ begin \
                     update busy set value = new.value where id = new.id; update ruled set value = new.other where id = new.id; \
                     return new; end $$; \
                 create trigger joined_write instead of update on joined for each row execute function joined_write()",
        rows: "insert into busy (id, value) select i, 'v' from generate_series(1, 40) as i; \
               insert into ruled select i, 'v' || i from generate_series(1, 40) as i; \
               insert into ruled_away select i, 'stay' from generate_series(1, 10) as i",
        changes: &[
            "insert into busy values (100, 'move'), (101, 'skip'), (102, 'new'); update busy set value = 'move' where id in (3, 5)",
            "update busy set value = case when id % 2 = 0 then 'skip' else 'odd' end; delete from busy where id between 20 and 25",
            "insert into ruled values (101, 'x'), (102, 'y'); update ruled set value = 'divert' where id = 1; \
             update ruled set value = 'not diverted' where id = 2; delete from ruled where id in (10, 102)",
            "insert into ruled_away values (20, 'away'), (21, 'here'); delete from ruled_away where id < 5 or id = 21; \
             update ruled_away set value = 'away' where id < 3; update ruled_away set id = id + 100",
            "update busy_view set value = 'by view' where id < 15; insert into busy_view values (200, 'by view'); \
             delete from busy_view where id = 30; update joined set value = 'joined', other = 'other ' || id where id in (11, 12)",
            "begin; update ruled set value = null where id = 6; update ruled set value = 'v6' where id = 7; \
             update ruled set value = 'v7' where id = 6; commit; update ruled set id = id + 500 where id < 9",
            "delete from busy_log where id % 2 = 0; with a as (update busy set n = -n where id < 10 returning *), \
             b as (delete from busy where id > 30 and id < 50 returning *) insert into busy (id, value) select id + 3000, 'both' from b",
        ],
    },
    // what else foreign keys do
    Scenario {
        tables: "create table boss (id int primary key, name text, unique (id, name)); \
                 create table worker (id int primary key, boss int default 1 references boss on delete set default on update set default, \
                     up int references worker on delete cascade on update cascade deferrable initially deferred); \
                 create table badge (id int, name text, boss int, primary key (name, id), \
                     foreign key (boss, name) references boss (id, name) on update cascade on delete set null (boss)); \
                 create table held_back (id int primary key references worker on delete restrict)",
        rows: "insert into boss select i, 'b' || i from generate_series(1, 20) as i; \
               insert into worker select i, 1 + i % 20, nullif(i / 3, 0) from generate_series(1, 80) as i; \
               insert into badge select i, 'b' || (1 + i % 20), 1 + i % 20 from generate_series(1, 60) as i; \
               insert into held_back values (80)",
        changes: &[
            "delete from boss where id in (5, 6, 7)",
            "update boss set id = id + 100 where id between 8 and 10; update boss set name = upper(name) where id between 11 and 15",
            "update worker set id = id + 1000 where id between 30 and 35; delete from worker where id in (13, 14)",
            "begin; update worker set up = 5000 where id = 1; insert into worker values (5000, 1, 1); commit",
            "do $$ begin begin delete from worker where id = 80; exception when foreign_key_violation then \
                 delete from held_back; delete from worker where id = 80; end; end $$",
            "begin; delete from boss where id = 12; insert into boss values (12, 'B12'); update badge set boss = 12 where name = 'B12'; commit",
            "truncate boss, worker, badge, held_back; insert into boss values (1, 'one'); insert into worker values (1, 1, 1)",
        ],
    },
];
