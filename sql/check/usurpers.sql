-- Relations that are no tables but have the name of one that is to come. Target, PostgreSQL 10 or later.
-- $1, $2: schemas and names, pairwise.
-- Returns schema, name, kind.
select n.nspname as schema, c.relname as name,
       case c.relkind when 'v' then 'VIEW' when 'm' then 'MATERIALIZED VIEW' when 'S' then 'SEQUENCE'
                      when 'c' then 'TYPE' else 'INDEX' end as kind
from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(schema, name)
join pg_catalog.pg_namespace n on n.nspname = w.schema
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
where c.relkind not in ('r', 'p', 'f')
order by 1, 2
