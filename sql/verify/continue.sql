-- Takes over the last verification of a scope, if it was interrupted not long ago.
-- $1: subscription; $2: mode; $3: tables as given; $4: whether it repairs. Extension's server.
-- Returns its id.
update decamp.verification v
set pid = a.pid, pid_since = a.backend_start
from (select pg_catalog.pg_backend_pid()) me(pid)
left join pg_catalog.pg_stat_activity a on a.pid = me.pid
where v.id = (
    select max(n.id)
    from decamp.verification n
    where n.subscription = $1 and n.mode = $2 and n.tables is not distinct from $3::text[] and n.repair = $4::bool
)
  and v.finished_at is null
  and v.started_at > pg_catalog.clock_timestamp() - interval '1 hour'
  and not exists (
      select 1 from pg_catalog.pg_stat_activity o where o.pid = v.pid and o.backend_start = v.pid_since)
returning v.id
