-- Capture on a partitioned table (its triggers are cloned to every present and future partition) or on a member of an
-- old-style inheritance tree: keys of changed rows, row by row.
-- Placeholders as in capture_statement.sql, with {function_new} and {new_key} for the key columns of NEW.
-- Runs inside a transaction that already holds the table's lock. PostgreSQL 11 or later for partitioned tables.
create or replace function {function_new}() returns trigger
language plpgsql security definer as $capture$
begin
    insert into {segment} values ({new_key});
    return null;
end
$capture$;

create or replace function {function_old}() returns trigger
language plpgsql security definer as $capture$
begin
    insert into {segment} values ({old_key});
    return null;
end
$capture$;

create trigger {insert} after insert on {table} for each row execute procedure {function_new}();

create trigger {update} after update on {table} for each row execute procedure {function_new}();

create trigger {delete} after delete on {table} for each row execute procedure {function_old}();

create trigger {rekey} after update on {table}
for each row when ({key_changed}) execute procedure {function_old}();
