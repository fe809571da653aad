-- Transactions that may be writing to captured tables: the barriers of their older segments. PostgreSQL 10 or later.
-- $1: oids of the tables. Their partitions count too, for who writes to one may have locked only that.
-- Returns table (of $1), transaction (virtual; -1/xid for a prepared one).
-- Vacuums and index builds (SHARE UPDATE EXCLUSIVE, SHARE) write nothing, and may take hours.
with recursive family("table", oid) as (
    select t.oid, t.oid
    from unnest($1::oid[]) t(oid)
    union all
    select f."table", i.inhrelid
    from family f
    join pg_catalog.pg_class p on p.oid = f.oid and p.relkind = 'p'
    join pg_catalog.pg_inherits i on i.inhparent = f.oid
)
select distinct f."table"::int8 as "table", l.virtualtransaction as transaction
from pg_catalog.pg_locks l
join family f on f.oid = l.relation
where l.locktype = 'relation' and l.granted
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
  and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  and l.pid is distinct from pg_catalog.pg_backend_pid()
