-- The segments of a subscription. PostgreSQL 10 or later.
-- $1: schema of the subscription on the source.
-- Returns table (oid of the captured table), number, oid (of the segment), keyed (its deltas are keys, not rows).
select split_part(c.relname, '_', 2)::int8 as "table",
       split_part(c.relname, '_', 3)::int8 as number,
       c.oid::int8 as oid,
       exists (select 1 from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = 'k1') as keyed
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind = 'r' and c.relname ~ '^delta_[0-9]+_[0-9]+$'
