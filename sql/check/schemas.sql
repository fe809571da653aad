-- Whether tables can be created in schemas that are there already. Target, PostgreSQL 10 or later.
-- $1: names of schemas.
-- Returns name, present, creatable.
select s.name, n.oid is not null as present,
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'create'), false) as creatable
from pg_catalog.unnest($1::text[]) s(name)
left join pg_catalog.pg_namespace n on n.nspname = s.name
order by 1
