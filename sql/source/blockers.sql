-- Transactions that may be writing to captured tables, in one look at the locks. PostgreSQL 10 or later.
-- $1: oids of the tables; their partitions count too, for who writes to one may have locked only that.
-- Returns transaction (virtual; -1/xid for a prepared one), pid (null: prepared, then gid is its name), user, application,
-- age (of the transaction, seconds; null if hidden), running (seconds since the start of its statement; null if hidden),
-- tables (how many), example (one of them). Never the statement.
-- Vacuums and index builds (SHARE UPDATE EXCLUSIVE, SHARE) write nothing, and may take hours.
with recursive family(oid) as (
    select u.oid
    from pg_catalog.unnest($1::oid[]) u(oid)
    union
    select i.inhrelid
    from family f
    join pg_catalog.pg_class p on p.oid = f.oid and p.relkind = 'p'
    join pg_catalog.pg_inherits i on i.inhparent = f.oid
),
held as (
    select l.virtualtransaction, l.pid, count(distinct l.relation) as tables,
           min(l.relation::pg_catalog.regclass::text) as example
    from pg_catalog.pg_locks l
    where l.locktype = 'relation' and l.granted
      and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
      and l.relation in (select f.oid from family f)
      and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      and l.pid is distinct from pg_catalog.pg_backend_pid()
    group by l.virtualtransaction, l.pid
)
select h.virtualtransaction as transaction, h.pid, p.gid,
       coalesce(a.usename, p.owner) as "user",
       a.application_name as application,
       extract(epoch from pg_catalog.clock_timestamp() - coalesce(a.xact_start, p.prepared))::int8 as age,
       extract(epoch from pg_catalog.clock_timestamp() - a.query_start)::int8 as running,
       h.tables, h.example
from held h
left join pg_catalog.pg_stat_activity a on a.pid = h.pid
left join pg_catalog.pg_prepared_xacts p
       on h.pid is null and p.transaction in (
           select t.transactionid
           from pg_catalog.pg_locks t
           where t.locktype = 'transactionid' and t.pid is null and t.virtualtransaction = h.virtualtransaction)
order by age desc nulls last
