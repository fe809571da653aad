-- The subscription a report is about: the one there is, else the last one of that name that repl_stop has ended. On our own
-- server.
-- $1 name.
-- Returns at most one row: source, target (without passwords), started_at, stopped_at (null while there is one), now (seconds
-- since 1970), copied (the lines of repl_copy_report as json), version (of the extension).
select f.source, f.target, extract(epoch from f.started_at)::float8 as started_at,
       extract(epoch from f.stopped_at)::float8 as stopped_at,
       extract(epoch from pg_catalog.clock_timestamp())::float8 as now, f.copied,
       (select e.extversion from pg_catalog.pg_extension e where e.extname = 'pg_decamp') as version
from (
    select s.source_shown as source, s.target_shown as target, s.created_at as started_at,
           null::timestamptz as stopped_at, decamp.copy_report(s.name)::text as copied
    from decamp.subscription s
    where s.name = $1
    union all
    select d.source, d.target, d.started_at, d.stopped_at, d.copied::text
    from decamp.finished d
    where d.subscription = $1
) f
order by f.stopped_at desc nulls first
limit 1
