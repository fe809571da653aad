-- What some tables look like right now, in the transaction's snapshot. PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Returns oid; shape: changes when columns are added, dropped, renamed or get another type, so that what is known of the table
-- is out of date; content: changes when rows may have changed without a trigger firing, for the table's files were written
-- anew (ALTER TYPE, a volatile DEFAULT, but VACUUM FULL too) or a column was added with a constant DEFAULT; layout: changes
-- when the text image of a row does (not with names). A table that is gone has no row.
with recursive
family(root, oid) as (
    select t.oid, t.oid from unnest($1::oid[]) t(oid)
    union all
    select f.root, i.inhrelid
    from family f
    join pg_catalog.pg_class p on p.oid = f.oid and p.relkind = 'p'
    join pg_catalog.pg_inherits i on i.inhparent = f.oid
),
files(root, list) as (
    select f.root, string_agg(pg_relation_filenode(f.oid)::text, ',' order by f.oid) from family f group by f.root
)
select a.attrelid::int8 as oid,
       md5(string_agg(concat_ws(',', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull), ';'
                      order by a.attnum)) as shape,
       md5(concat_ws(';', f.list, string_agg(a.attnum::text, ',' order by a.attnum)
                         filter (where (to_jsonb(a) ->> 'atthasmissing')::boolean))) as content,
       md5(string_agg(concat_ws(',', a.attnum, a.atttypid, a.atttypmod), ';' order by a.attnum)) as layout
from pg_catalog.pg_attribute a
join files f on f.root = a.attrelid
where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped
group by a.attrelid, f.list
