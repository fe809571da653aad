-- Whether our role can keep what is applied in schema decamp. Target, PostgreSQL 10 or later.
-- No parameters.
-- Returns present (the schema), writable (table applied is there and can be written), creatable (in the schema).
select n.oid is not null as present,
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'usage')
                and pg_catalog.has_table_privilege(c.oid, 'select')
                and pg_catalog.has_table_privilege(c.oid, 'insert')
                and pg_catalog.has_table_privilege(c.oid, 'delete'), false) as writable,
       c.oid is null and coalesce(pg_catalog.has_schema_privilege(n.oid, 'create'), false) as creatable
from (select 1) one
left join pg_catalog.pg_namespace n on n.nspname = 'decamp'
left join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = 'applied'
