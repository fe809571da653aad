-- Which tables there are, as one value that changes when one comes, goes or is renamed. PostgreSQL 10 or later.
-- No parameters.
-- Returns roster.
select coalesce(md5(string_agg(concat_ws(',', c.oid, c.relnamespace, c.relname), ';' order by c.oid)), '') as roster
from pg_class c
where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't' and not c.relispartition
  and c.oid >= 16384
