-- How large some segments are on disk, dead rows included. PostgreSQL 10 or later.
-- $1: oids of the segments.
-- Returns oid, bytes, pages; no row for one that is gone.
select s.oid::int8 as oid, s.bytes, s.bytes / current_setting('block_size')::int8 as pages
from (select t.oid, pg_catalog.pg_relation_size(t.oid) as bytes from unnest($1::oid[]) t(oid)) s
where s.bytes is not null
