-- What is left of some barriers, in one look at the locks (two would miss a transaction that is prepared in between).
-- PostgreSQL 10 or later.
-- $1: virtual transactions; $2: oids of segments.
-- Returns transaction (of $1, still there; or null), segment (of $2, with rows not yet committed; or null).
select distinct
       case when l.virtualtransaction = any ($1::text[]) then l.virtualtransaction end as transaction,
       case when l.locktype = 'relation' and l.relation = any ($2::oid[]) then l.relation::int8 end as segment
from pg_catalog.pg_locks l
where l.granted
  and (l.virtualtransaction = any ($1::text[])
       or l.locktype = 'relation' and l.relation = any ($2::oid[])
          and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
          and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
          and l.pid is distinct from pg_catalog.pg_backend_pid())
