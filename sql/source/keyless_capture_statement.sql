-- Capture on an ordinary table without a key: the rows that came and went, once per statement, from its transition tables.
-- {table}: the user's table; {segment}: where deltas go; {positions}: quoted literal, its sequence; {insert}, {update}, {delete},
-- {rekey}, {truncate}: trigger names; {function}, {function_old}, {function_truncate}: qualified function names; {settings}: SET
-- clauses, what our own sessions have set and the image of a row depends on.
-- Every name is qualified: the table may have columns of any name. Both sides of an update are deltas, one trigger each.
-- Runs inside a transaction that already holds the table's lock. PostgreSQL 10 or later.
create or replace function {function}() returns trigger
language plpgsql security definer {settings} as $capture$
begin
    insert into {segment}
    select w.txid, w.position, w.member, 1, (changed.*)::pg_catalog.text
    from changed, (select pg_catalog.txid_current() as txid, pg_catalog.nextval({positions}) as position, tg_relid as member) w;
    return null;
end
$capture$;

create or replace function {function_old}() returns trigger
language plpgsql security definer {settings} as $capture$
begin
    insert into {segment}
    select w.txid, w.position, w.member, -1, (changed.*)::pg_catalog.text
    from changed, (select pg_catalog.txid_current() as txid, pg_catalog.nextval({positions}) as position, tg_relid as member) w;
    return null;
end
$capture$;

create trigger {insert} after insert on {table}
referencing new table as changed for each statement execute procedure {function}();

create trigger {update} after update on {table}
referencing new table as changed for each statement execute procedure {function}();

create trigger {delete} after delete on {table}
referencing old table as changed for each statement execute procedure {function_old}();

create trigger {rekey} after update on {table}
referencing old table as changed for each statement execute procedure {function_old}();

create trigger {truncate} after truncate on {table}
for each statement execute procedure {function_truncate}();
