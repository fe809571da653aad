-- The columns of every user table, in their order, with their place in the table's key. PostgreSQL 10 or later.
-- No parameters.
-- The key is the primary key, else the narrowest unique index that is valid, not partial, not deferrable, without
-- expressions and over NOT NULL columns.
-- Returns oid (of the table), attnum, name, type (as declared), base_type (domains resolved), not_null, has_default, generated,
-- identity ('', a = always, d = by default), key_place (1.. or null), equality (operator of the key's index, null off
-- the key), deferrable (the key's constraint is).
with user_table as (
    select c.oid
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
),
candidate as (
    select i.indrelid, i.indexrelid, i.indisprimary, i.indimmediate, i.indkey::int2[] as attributes,
           i.indclass::oid[] as classes,
           -- PostgreSQL 10 has no indnkeyatts
           case when i.indnatts = 1 then 1
                else coalesce((pg_catalog.to_jsonb(i) ->> 'indnkeyatts')::int, i.indnatts::int)
           end as width
    from pg_catalog.pg_index i
    join user_table t on t.oid = i.indrelid
    where i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
      and (i.indisprimary or i.indimmediate)
),
key as (
    select distinct on (k.indrelid) k.*
    from candidate k
    where k.indisprimary or not exists (
        select 1
        from pg_catalog.unnest(k.attributes) with ordinality u(attnum, place)
        join pg_catalog.pg_attribute a on a.attrelid = k.indrelid and a.attnum = u.attnum
        where u.place <= k.width and not a.attnotnull)
    order by k.indrelid, k.indisprimary desc, k.width, k.indexrelid
),
equality as (
    select c.oid as class, pg_catalog.format('operator(%I.%s)', n.nspname, o.oprname) as operator
    from pg_catalog.pg_opclass c
    join pg_catalog.pg_amop ao
      on ao.amopfamily = c.opcfamily and ao.amopstrategy = 3
     and ao.amoplefttype = c.opcintype and ao.amoprighttype = c.opcintype
    join pg_catalog.pg_operator o on o.oid = ao.amopopr
    join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
),
key_column as (
    select k.indrelid, u.attnum, u.place, not k.indimmediate as deferrable, e.operator as equality
    from key k
    cross join unnest(k.attributes, k.classes) with ordinality u(attnum, class, place)
    left join equality e on e.class = u.class
    where u.place <= k.width
)
select a.attrelid::int8 as oid,
       a.attnum,
       a.attname as name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) as type,
       base.name as base_type,
       a.attnotnull as not_null,
       a.atthasdef or a.attidentity <> '' as has_default,
       -- before PostgreSQL 12 there is no attgenerated
       a.atthasdef and coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> '' as generated,
       a.attidentity as identity,
       kc.place as key_place,
       kc.equality,
       coalesce(kc.deferrable, false) as deferrable
from pg_catalog.pg_attribute a
join user_table t on t.oid = a.attrelid
left join key_column kc on kc.indrelid = a.attrelid and kc.attnum = a.attnum
cross join lateral (
    with recursive chain(typid, typmod) as (
        select a.atttypid, a.atttypmod
        union all
        select t.typbasetype, t.typtypmod
        from chain
        join pg_catalog.pg_type t on t.oid = chain.typid
        where t.typtype = 'd'
    )
    select pg_catalog.format_type(chain.typid, chain.typmod) as name
    from chain
    join pg_catalog.pg_type t on t.oid = chain.typid
    where t.typtype <> 'd'
) base
where a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
