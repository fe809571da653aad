-- Publications of the source's database. PostgreSQL 10 or later.
-- No parameters.
-- Returns name, all_tables, logical (the server's wal_level lets anybody subscribe).
select p.pubname as name, p.puballtables as all_tables,
       pg_catalog.current_setting('wal_level') = 'logical' as logical
from pg_catalog.pg_publication p
order by 1
