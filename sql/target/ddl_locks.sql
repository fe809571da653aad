-- Which user tables the transaction of this session has locked, and how strongly: what its statements are about. PostgreSQL 10 or later.
-- No parameters.
-- Returns schema, name; changes: rows may have been written; exclusive: nobody else may even read it.
select n.nspname as schema, c.relname as name,
       not bool_or(l.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                              'AccessExclusiveLock')) as changes,
       bool_or(l.mode = 'AccessExclusiveLock') as exclusive
from pg_catalog.pg_locks l
join pg_catalog.pg_class c on c.oid = l.relation
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.granted
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
  and c.relkind in ('r', 'p')
  and l.mode not in ('AccessShareLock', 'RowShareLock')
  and n.nspname not in ('pg_catalog', 'information_schema')
group by n.nspname, c.relname
order by n.nspname, c.relname
