-- Claims what a copy worker is to do next: one task, or several small ones of the same kind, which then go together.
-- $1: the subscription.
-- The largest tables come first; a task that failed before goes alone.
-- Returns id, source_oid, kind, name, member, member_name, filenode, condition, statements (JSON), attempts, cancelled, spare
-- (how many workers have nothing to do now).
with ready as materialized (
    select * from decamp.claimable c where c.subscription_id = $1::int4
),
first as (
    select o.id, ready.kind, ready.small, ready.table_bytes
    from decamp.task o
    join ready using (id)
    where o.state = 'pending'
    order by ready.turn, ready.table_bytes desc, o.id
    limit 1
    for update of o skip locked
),
-- up to 100 and 8 MB, and no more than this worker's share
small as (
    select r.id, sum(r.bytes) over (order by r.table_bytes desc, r.id) as bytes
    from ready r
    join first f on f.kind = r.kind and f.small and r.small and r.id <> f.id
),
more as (
    select o.id
    from decamp.task o
    join small using (id)
    where o.state = 'pending' and small.bytes < 8388608
    order by small.bytes, o.id
    limit (select least(count(*) / (select s.workers from decamp.subscription s where s.id = $1::int4), 99) from small)
    for update of o skip locked
),
-- what others have to do, small matters left aside
load as (
    select greatest(s.workers - 1 - count(t.id), 0) as spare
    from decamp.subscription s
    cross join first
    left join (
        decamp.task t join decamp.relation r using (subscription_id, source_oid)
    ) on t.subscription_id = s.id and t.id <> first.id and t.phase <> 5 and r.bytes * 10 >= first.table_bytes
     and (t.state = 'running' or t.id in (select ready.id from ready))
    where s.id = $1::int4
    group by s.workers
)
update decamp.task t
set state = 'running', worker_pid = pg_catalog.pg_backend_pid(), attempts = t.attempts + 1, rows_done = 0, bytes_done = 0,
    part = null, started_at = pg_catalog.clock_timestamp(),
    worker_since = (select a.backend_start from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a)
from load
where t.id in (select id from first union all select id from more)
returning t.id, t.source_oid::int8 as source_oid, t.kind, t.name, t.member::int8 as member, t.member_name,
          t.filenode::int8 as filenode, t.condition, pg_catalog.array_to_json(t.statements)::text as statements, t.attempts,
          t.cancelled, load.spare
