-- Capture on an ordinary table: keys of changed rows, once per statement, from its transition table.
-- {schema}: our schema; {table}: the user's table; {segment}: where deltas go; {insert}, {update}, {delete}, {rekey},
-- {truncate}: trigger names; {function}, {function_old}, {function_truncate}: qualified function names; {changed_key}:
-- key columns of the transition table "changed"; {old_key}: key columns of OLD; {key_changed}: whether OLD and NEW have another key.
-- Runs inside a transaction that already holds the table's lock. PostgreSQL 10 or later.
create or replace function {function}() returns trigger
language plpgsql security definer as $capture$
begin
    insert into {segment} select {changed_key} from changed;
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

create trigger {insert} after insert on {table}
referencing new table as changed for each statement execute procedure {function}();

create trigger {update} after update on {table}
referencing new table as changed for each statement execute procedure {function}();

create trigger {delete} after delete on {table}
referencing old table as changed for each statement execute procedure {function}();

create trigger {rekey} after update on {table}
for each row when ({key_changed}) execute procedure {function_old}();

create trigger {truncate} after truncate on {table}
for each statement execute procedure {function_truncate}();
