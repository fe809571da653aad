-- Subscriptions in the source's database. PostgreSQL 10 or later; only columns that every role may read.
-- No parameters.
-- Returns name, enabled.
select s.subname as name, s.subenabled as enabled
from pg_catalog.pg_subscription s
where s.subdbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
order by 1
