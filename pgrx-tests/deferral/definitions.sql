-- What indexes, constraints and all that hangs on them look like, by names: equal before they are taken off and after
-- they are back. Needs search_path = pg_catalog. PostgreSQL 10 or later.
-- No parameters.
-- Not compared, because it cannot be restored and means little: oids, connoinherit of keys and foreign keys, conislocal
-- of inherited NOT NULL, name and validity of what a foreign key to a partitioned table has for each of the referenced
-- partitions.
-- Returns kind, name, definition.
with named as (
    select c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) as name, to_jsonb(c) as row
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'decamp')
),
contract as (
    select c.oid, r.name || '.' || quote_ident(c.conname) as name, c as row, to_jsonb(c) as json,
           coalesce((to_jsonb(c) ->> 'conparentid')::oid, 0) as parent
    from pg_constraint c
    join named r on r.oid = c.conrelid
)
select 'index' as kind, x.name,
       jsonb_build_object(
           'definition', pg_get_indexdef(x.oid),
           'index', to_jsonb(i) - '{indexrelid,indrelid,indcheckxmin,indexprs,indpred}'::text[],
           'class', x.row - ('{oid,relnamespace,reltype,relfilenode,relpages,reltuples,relallvisible,relallfrozen,'
                             'relfrozenxid,relminmxid,reltablespace}')::text[],
           'tablespace', (select s.spcname from pg_tablespace s where s.oid = (x.row ->> 'reltablespace')::oid),
           'parent', (select p.name from pg_inherits h join named p on p.oid = h.inhparent where h.inhrelid = x.oid),
           'constraint', (select c.name from contract c
                          where (c.row).conindid = x.oid and (c.row).contype in ('p', 'u', 'x')),
           'comment', obj_description(x.oid, 'pg_class'),
           'columns', (select jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod),
                                                          a.attstattarget, a.attoptions) order by a.attnum)
                       from pg_attribute a
                       where a.attrelid = x.oid),
           'extensions', (select jsonb_agg(e.extname order by e.extname)
                          from pg_depend d
                          join pg_extension e on e.oid = d.refobjid
                          where d.classid = 'pg_class'::regclass and d.objid = x.oid
                            and d.refclassid = 'pg_extension'::regclass and d.deptype = 'x')) as definition
from named x
join pg_index i on i.indexrelid = x.oid
union all
select 'constraint',
       case when p.conrelid = (c.row).conrelid then null else c.name end,
       jsonb_build_object(
           'definition', case when p.conrelid = (c.row).conrelid
                              then replace(pg_get_constraintdef(c.oid), ' NOT VALID', '')
                              else pg_get_constraintdef(c.oid) end,
           'row', c.json
                  - '{oid,connamespace,conrelid,conindid,conparentid,confrelid,conbin,consrc}'::text[]
                  - case when (c.row).contype in ('p', 'u', 'x', 'f') then 'connoinherit'
                         when (c.row).coninhcount > 0 then 'conislocal' else '' end
                  - case when p.conrelid = (c.row).conrelid then '{conname,convalidated}'::text[] else '{}' end,
           'table', (select r.name from named r where r.oid = (c.row).conrelid),
           'index', (select r.name from named r where r.oid = (c.row).conindid),
           'other', (select r.name from named r where r.oid = (c.row).confrelid),
           'parent', case when p.conrelid is distinct from (c.row).conrelid then p.conname end,
           'comment', obj_description(c.oid, 'pg_constraint'),
           'triggers', (select jsonb_agg(jsonb_build_array(t.tgrelid::regclass, t.tgfoid::regproc, t.tgenabled,
                                                           t.tgtype, t.tgdeferrable, t.tginitdeferred)
                                         order by t.tgrelid, t.tgfoid)
                        from pg_trigger t
                        where t.tgconstraint = c.oid))
from contract c
left join pg_constraint p on p.oid = c.parent
union all
select 'table', r.name,
       jsonb_build_object(
           'class', r.row - ('{oid,relnamespace,reltype,relfilenode,relpages,reltuples,relallvisible,relallfrozen,'
                             'relfrozenxid,relminmxid,reltoastrelid}')::text[],
           'columns', (select jsonb_agg(to_jsonb(a) order by a.attnum)
                       from pg_attribute a
                       where a.attrelid = r.oid and a.attnum > 0))
from named r
where r.relkind in ('r', 'p', 'f', 'm')
order by 1, 2, 3
