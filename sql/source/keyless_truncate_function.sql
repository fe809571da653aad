-- Notes a TRUNCATE of a captured table without a key, or of one of its partitions, and where it stands among the deltas: it holds
-- the table alone, so deltas of rows that it did away with, its own transaction's too, have lower positions, all others higher.
-- {function_truncate}: qualified function name; {schema}: our schema; {oid}: the captured table; {positions}: quoted literal.
-- PostgreSQL 10 or later.
create or replace function {function_truncate}() returns trigger
language plpgsql security definer set search_path = pg_catalog as $capture$
begin
    insert into {schema}.truncation (relation, schema, name, member, position)
    values ({oid}, tg_table_schema, tg_table_name, tg_relid, nextval({positions}));
    return null;
end
$capture$;
