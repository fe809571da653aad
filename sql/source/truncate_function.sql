-- Notes a TRUNCATE of a captured table or of one of its partitions.
-- {function_truncate}: qualified function name; {schema}: our schema; {oid}: the captured table. PostgreSQL 10 or later.
create or replace function {function_truncate}() returns trigger
language plpgsql security definer as $capture$
begin
    insert into {schema}.truncation (relation, schema, name) values ({oid}, tg_table_schema, tg_table_name);
    return null;
end
$capture$;
