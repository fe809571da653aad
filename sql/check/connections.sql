-- Connections in use and the limits on them. Source or target, PostgreSQL 10 or later.
-- No parameters.
-- Returns maximum, reserved (for others than our role), used, role_limit and database_limit (-1: none), role_used,
-- database_used. The kind of other roles' sessions is hidden from an ordinary role: those count as clients.
with session as (
    select a.usesysid, a.datid
    from pg_catalog.pg_stat_activity a
    where a.usesysid is not null and a.datid is not null
      and coalesce(a.backend_type, 'client backend') = 'client backend'
)
select pg_catalog.current_setting('max_connections')::int as maximum,
       case when r.rolsuper then 0
            else pg_catalog.current_setting('superuser_reserved_connections')::int
                 + coalesce(pg_catalog.current_setting('reserved_connections', true)::int, 0) end as reserved,
       (select count(*) from session) as used,
       case when r.rolsuper then -1 else r.rolconnlimit end as role_limit,
       (select count(*) from session s where s.usesysid = r.oid) as role_used,
       case when r.rolsuper then -1 else d.datconnlimit end as database_limit,
       (select count(*) from session s where s.datid = d.oid) as database_used
from pg_catalog.pg_roles r
cross join pg_catalog.pg_database d
where r.rolname = session_user and d.datname = pg_catalog.current_database()
