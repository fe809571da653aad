-- The body of a DO block: makes a segment like the one before it, and lets the capture functions of its table that write to a
-- segment write there from now on. Does nothing if there is none. PostgreSQL 10 or later.
-- {schema}: of the subscription on the source, as literal; {capture}: capture_<table oid>, which the functions' names begin with,
-- as literal; {segments}: what the quoted names of the table's segments begin with, as literal; {any}: a regular expression for all
-- of them, as literal; {old}, {new}: the quoted names of the two segments; {written}: the new one as replacement, as literal.
declare
    capture record;
    made    boolean := false;
begin
    for capture in
        select pg_catalog.pg_get_functiondef(p.oid) as definition
        from pg_catalog.pg_proc p
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where n.nspname = {schema}
          and (p.proname = {capture} or pg_catalog.left(p.proname, pg_catalog.length({capture}) + 1) = {capture} || '_')
          and pg_catalog.strpos(p.prosrc, {segments}) > 0
        order by p.proname
    loop
        if not made then
            create table {new} (like {old});
            alter table {new} replica identity full;
            made := true;
        end if;
        execute pg_catalog.regexp_replace(capture.definition, {any}, {written}, 'g');
    end loop;
end
