-- The integer columns that sequences belong to (OWNED BY, serial, identity). Target.
-- No parameters.
-- Returns sequence (oid), schema, name (of the table), attribute; measurable: its largest and smallest value are found at
-- once and we may read it: an index begins with it, or the table is small.
select s.oid::int8 as sequence, n.nspname as schema, o.relname as name, a.attname as attribute,
       pg_catalog.has_column_privilege(o.oid, a.attnum, 'select')
       and (exists (
                select 1
                from pg_catalog.pg_index x
                join pg_catalog.pg_class i on i.oid = x.indexrelid
                join pg_catalog.pg_am m on m.oid = i.relam
                where x.indrelid = o.oid and x.indkey[0] = a.attnum and x.indisvalid and x.indpred is null
                  and m.amname = 'btree')
            or (o.relkind = 'r' and not o.relhassubclass
                and pg_catalog.pg_relation_size(o.oid) < 33554432)) as measurable
from pg_catalog.pg_class s
join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = s.oid
join pg_catalog.pg_class o on o.oid = d.refobjid
join pg_catalog.pg_namespace n on n.oid = o.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = o.oid and a.attnum = d.refobjsubid
where s.relkind = 'S'
  and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
  and o.relkind in ('r', 'p')
  and a.atttypid in ('pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype,
                     'pg_catalog.int8'::pg_catalog.regtype)
