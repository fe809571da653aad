-- Capture on a partitioned table or a member of an old-style inheritance tree that has no key: the rows that came and went, row
-- by row. Placeholders as in keyless_capture_statement.sql.
-- Runs inside a transaction that already holds the table's lock. PostgreSQL 11 or later for partitioned tables.
create or replace function {function}() returns trigger
language plpgsql security definer {settings} as $capture$
begin
    insert into {segment} values (pg_catalog.txid_current(), pg_catalog.nextval({positions}), tg_relid, 1, new::pg_catalog.text);
    return null;
end
$capture$;

create or replace function {function_old}() returns trigger
language plpgsql security definer {settings} as $capture$
begin
    insert into {segment} values (pg_catalog.txid_current(), pg_catalog.nextval({positions}), tg_relid, -1, old::pg_catalog.text);
    return null;
end
$capture$;

create trigger {insert} after insert on {table} for each row execute procedure {function}();

create trigger {update} after update on {table} for each row execute procedure {function}();

create trigger {delete} after delete on {table} for each row execute procedure {function_old}();

create trigger {rekey} after update on {table} for each row execute procedure {function_old}();
