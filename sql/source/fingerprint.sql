-- What some tables look like right now, in the transaction's snapshot. Source or target, PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Returns oid; shape: changes when the table is renamed, when columns are added, dropped, renamed or altered, and when
-- unique indexes come or go, so that what is known of the table is out of date; content: changes when rows may have changed
-- without a trigger firing, for the table's files were written anew (ALTER TYPE, a volatile DEFAULT, but VACUUM FULL too) or a
-- column was added with a constant DEFAULT; layout: changes when the text image of a row does (not with names). A table that is
-- gone has no row.
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
),
-- a partitioned table has no rows, so nothing is missing from them: its partitions tell
missing(root, list) as (
    select f.root, string_agg(concat_ws('.', f.oid, a.attnum), ',' order by f.oid, a.attnum)
    from family f
    -- pg_attribute has such a column from version 11 on; before, the name means this one
    cross join (values (false)) before_11(atthasmissing)
    -- table by table, or every column of the database is looked at for a few tables
    cross join lateral (
        select c.attnum from pg_catalog.pg_attribute c
        where c.attrelid = f.oid and c.attnum > 0 and not c.attisdropped and atthasmissing
        offset 0
    ) a
    group by f.root
),
keys(root, list) as (
    select i.indrelid, string_agg(concat_ws(',', i.indkey, i.indisprimary, i.indimmediate), ';' order by i.indexrelid)
    from pg_index i
    where i.indrelid = any ($1::oid[]) and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
    group by i.indrelid
)
select a.attrelid::int8 as oid,
       md5(concat_ws(';', c.relnamespace, c.relname, k.list,
                     string_agg(concat_ws(',', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.xmin), ';'
                                order by a.attnum))) as shape,
       md5(concat_ws(';', f.list, m.list)) as content,
       md5(string_agg(concat_ws(',', a.attnum, a.atttypid, a.atttypmod), ';' order by a.attnum)) as layout
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join files f on f.root = a.attrelid
left join missing m on m.root = a.attrelid
left join keys k on k.root = a.attrelid
where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped
group by a.attrelid, c.relnamespace, c.relname, f.list, m.list, k.list
