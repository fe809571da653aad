-- Transactions that may be writing to a captured table: the barrier of its older segments. PostgreSQL 10 or later.
-- $1: oid of the table. Its partitions count too, for who writes to one may have locked only that.
-- Returns transaction (virtual; -1/xid for a prepared one).
-- Vacuums and index builds (SHARE UPDATE EXCLUSIVE, SHARE) write nothing, and may take hours.
with recursive family(oid) as (
    select $1::oid
    union all
    select i.inhrelid
    from family f
    join pg_catalog.pg_class p on p.oid = f.oid and p.relkind = 'p'
    join pg_catalog.pg_inherits i on i.inhparent = f.oid
)
select distinct l.virtualtransaction as transaction
from pg_catalog.pg_locks l
where l.locktype = 'relation' and l.granted
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
  and l.relation in (select f.oid from family f)
  and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  and l.pid is distinct from pg_catalog.pg_backend_pid()
