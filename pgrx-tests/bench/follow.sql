-- What is kept up to date: pgbench's tables (scale 10 at bench.scale = 1; the history has a key, for two of the peers refuse a
-- table without), a table for one large update, one with three indexes for many inserts, four like it, and a marker.
-- Setting bench.scale: the factor for the rows.

create table pgbench_branches (bid int primary key, bbalance int, filler char(88)) with (fillfactor = 100);
create table pgbench_tellers (tid int primary key, bid int, tbalance int, filler char(84)) with (fillfactor = 100);
create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84)) with (fillfactor = 100);
create table pgbench_history (
    tid int, bid int, aid int, delta int, mtime timestamp, filler char(22), id bigserial primary key
);
create table counted (id int primary key, n int not null, note text not null);
create table event (id bigint primary key, at timestamptz not null, subject int not null, note text not null);
create index on event (at);
create index on event (subject);
create table event_1 (like event including all);
create table event_2 (like event including all);
create table event_3 (like event including all);
create table event_4 (like event including all);
create table marker (id int primary key, n bigint not null);
insert into marker values (1, 0);

do $$
declare
    branches constant int := greatest(1, (10 * current_setting('bench.scale')::numeric)::int);
begin
    insert into pgbench_branches select n, 0, '' from generate_series(1, branches) as n;
    insert into pgbench_tellers select n, (n - 1) / 10 + 1, 0, '' from generate_series(1, 10 * branches) as n;
    insert into pgbench_accounts select n, (n - 1) / 100000 + 1, 0, '' from generate_series(1, 100000 * branches) as n;
    insert into counted select n, 0, md5(n::text) from generate_series(1, 100000 * branches) as n;
end
$$;
