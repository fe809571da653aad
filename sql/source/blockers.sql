-- Who holds a lock on a table that stands in the way of installing or dropping its triggers. PostgreSQL 10 or later.
-- $1: oid of the table.
-- Returns who: pid, user, application, age of the transaction; never the statement.
select pg_catalog.format('pid %s (user %s, application %L, transaction open for %s%s)', a.pid, a.usename,
                         a.application_name,
                         coalesce(pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - a.xact_start)::text, '?'),
                         case when a.query like '%(to prevent wraparound)%'
                              then ', an anti-wraparound vacuum, which does not give way' else '' end) as who
from pg_catalog.pg_locks l
join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.relation = $1::oid and l.granted
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
  and l.mode in ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                 'ExclusiveLock', 'AccessExclusiveLock')
  and l.pid <> pg_catalog.pg_backend_pid()
order by a.xact_start
limit 5
