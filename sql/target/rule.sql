-- A constraint or unique index of a table, or of one of its partitions, by name. PostgreSQL 10 or later.
-- $1: oid of the table; $2: name.
-- Returns columns (of a key; JSON; null if there are expressions or a predicate), referred_schema, referred_name
-- and referred_columns (of a foreign key), removal (the statement that takes it off).
with recursive family(oid) as (
    select $1::oid
    union all
    select i.inhrelid from family f join pg_catalog.pg_inherits i on i.inhparent = f.oid
),
found as (
    select c.conrelid as relation, c.conname as name, true as named,
           case when c.contype in ('p', 'u', 'f') then c.conkey end as attributes,
           nullif(c.confrelid, 0) as referred, c.confkey as referred_attributes
    from pg_constraint c
    where c.conname = $2
    union all
    select i.indrelid, x.relname, false,
           case when i.indexprs is null and i.indpred is null then i.indkey::int2[] end, null, null
    from pg_index i
    join pg_class x on x.oid = i.indexrelid
    where x.relname = $2
)
select (select json_agg(a.attname order by u.place)::text
        from unnest(f.attributes) with ordinality u(attnum, place)
        join pg_attribute a on a.attrelid = f.relation and a.attnum = u.attnum) as columns,
       rn.nspname as referred_schema, r.relname as referred_name,
       (select json_agg(a.attname order by u.place)::text
        from unnest(f.referred_attributes) with ordinality u(attnum, place)
        join pg_attribute a on a.attrelid = f.referred and a.attnum = u.attnum) as referred_columns,
       case when f.named then format('ALTER TABLE %I.%I DROP CONSTRAINT %I;', n.nspname, t.relname, f.name)
            else format('DROP INDEX %I.%I;', n.nspname, f.name) end as removal
from found f
join family on family.oid = f.relation
join pg_class t on t.oid = f.relation
join pg_namespace n on n.oid = t.relnamespace
left join pg_class r on r.oid = f.referred
left join pg_namespace rn on rn.oid = r.relnamespace
order by f.relation = $1::oid desc, f.named desc
limit 1
