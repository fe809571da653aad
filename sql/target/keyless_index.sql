-- Columns by which rows of a table can be looked up: the first of an index each. Target, PostgreSQL 10 or later.
-- $1: oid of the table.
-- Returns name, equality (operator of the index), the most selective first by the statistics.
select a.attname as name, format('operator(%I.%s)', n.nspname, o.oprname) as equality
from pg_catalog.pg_index i
join pg_catalog.pg_class x on x.oid = i.indexrelid
join pg_catalog.pg_am m on m.oid = x.relam and m.amname = 'btree'
join pg_catalog.pg_class c on c.oid = i.indrelid
join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
join pg_catalog.pg_opclass k on k.oid = i.indclass[0]
join pg_catalog.pg_amop ao
  on ao.amopfamily = k.opcfamily and ao.amopstrategy = 3 and ao.amoplefttype = k.opcintype and ao.amoprighttype = k.opcintype
join pg_catalog.pg_operator o on o.oid = ao.amopopr
join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
left join pg_catalog.pg_stats s
  on s.schemaname = cn.nspname and s.tablename = c.relname and s.attname = a.attname and s.inherited = (c.relkind = 'p')
where i.indrelid = $1::oid and i.indisvalid and i.indpred is null
group by 1, 2
order by max(case when s.n_distinct < 0 then -s.n_distinct * greatest(c.reltuples, 1) else s.n_distinct end) desc nulls last,
         bool_or(i.indisunique) desc, 1
