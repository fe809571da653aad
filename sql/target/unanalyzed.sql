-- Which of some tables have never been analyzed, as far as the server knows. PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Returns name (quoted and qualified).
select pg_catalog.format('%I.%I', s.schemaname, s.relname) as name
from pg_catalog.pg_stat_user_tables s
join pg_catalog.pg_class c on c.oid = s.relid and c.relkind = 'r'
where s.relid = any ($1::oid[]) and s.last_analyze is null and s.last_autoanalyze is null
order by 1
