-- Size of the indexes of some tables. Source, PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Returns bytes.
select coalesce(sum(pg_catalog.pg_indexes_size(c.oid)), 0)::int8 as bytes
from pg_catalog.pg_class c
where c.oid = any ($1::oid[]) and c.relkind = 'r'
