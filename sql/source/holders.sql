-- Who holds locks that the installation of triggers has to wait for, or, to drop them, any locks. PostgreSQL 10 or later.
-- $1: oids of the tables; $2: whether every lock counts.
-- Returns pid (null: a prepared transaction, then gid is its name), user, application, age (of the transaction, seconds;
-- null if hidden), wraparound (an anti-wraparound vacuum), hidden (our role may not see what it does), tables (how many),
-- example (one of them). Never the statement.
with held as (
    select l.pid, l.virtualtransaction,
           count(distinct l.relation) as tables,
           min(l.relation::pg_catalog.regclass::text) as example
    from pg_catalog.pg_locks l
    where l.locktype = 'relation' and l.granted and l.relation = any ($1::oid[])
      and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
      and ($2::bool or l.mode in ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                                  'ExclusiveLock', 'AccessExclusiveLock'))
      and l.pid is distinct from pg_catalog.pg_backend_pid()
    group by l.pid, l.virtualtransaction
)
select h.pid,
       p.gid,
       coalesce(a.usename, p.owner) as "user",
       a.application_name as application,
       extract(epoch from pg_catalog.clock_timestamp() - coalesce(a.xact_start, p.prepared))::int8 as age,
       coalesce(a.query like '%(to prevent wraparound)%', false) as wraparound,
       coalesce(a.query = '<insufficient privilege>', false) as hidden,
       h.tables,
       h.example
from held h
left join pg_catalog.pg_stat_activity a on a.pid = h.pid
left join pg_catalog.pg_prepared_xacts p
       on h.pid is null and p.transaction in (
           select t.transactionid
           from pg_catalog.pg_locks t
           where t.locktype = 'transactionid' and t.pid is null and t.virtualtransaction = h.virtualtransaction)
order by age desc nulls last
