-- Gates on the target, at which a migration waits while a file is there: `{directory}/gate.<name>`. A file survives the
-- restart of the server. See src/phase.rs. Run by the superuser in the database that is migrated to.
create function gate_wait(name text) returns void language plpgsql as $$
begin
    while (pg_catalog.pg_stat_file('{directory}/gate.' || name, true)).size is not null loop
        perform pg_catalog.pg_sleep(0.02);
    end loop;
end
$$;

create function gate_import() returns event_trigger language plpgsql as $$
begin
    if tg_tag = 'CREATE TABLE' then
        perform public.gate_wait('importing');
    elsif pg_catalog.current_query() like '%ADD CONSTRAINT%' then
        perform public.gate_wait('indexing');
    end if;
end
$$;

create function gate_rows() returns trigger language plpgsql as $$
begin
    if pg_catalog.current_setting('application_name') like '% copy' then
        perform public.gate_wait('copying');
    elsif pg_catalog.current_setting('application_name') like '% apply' then
        perform public.gate_wait('catchup');
    end if;
    return null;
end
$$;

-- as on the source: the import finds it there already
create table held (id integer primary key, n integer, value text);
create trigger gate before insert on held execute function gate_rows();
alter table held enable always trigger gate;

create event trigger gate on ddl_command_start execute function gate_import();
