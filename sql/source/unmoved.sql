-- What the import leaves behind by design. PostgreSQL 10 or later.
-- $1: names of a provider's own schemas.
-- Returns kind, name, value (of a setting), listed (whether the value is a list of names), role (whose setting, null: the
-- database's).
select 'event trigger' as kind, t.evtname::text as name, null as value, false as listed, null::text as role
from pg_catalog.pg_event_trigger t
where not exists (
    select 1 from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass and d.objid = t.oid and d.deptype = 'e')
union all
select 'publication', p.pubname, null, false, null
from pg_catalog.pg_publication p
union all
select 'subscription', s.subname, null, false, null
from pg_catalog.pg_subscription s
where s.subdbid = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
union all
select 'schema', n.nspname, null, false, null
from pg_catalog.pg_namespace n
where n.nspname = any ($1::text[])
union all
select 'setting', pg_catalog.split_part(c.config, '=', 1),
       pg_catalog.substr(c.config, pg_catalog.strpos(c.config, '=') + 1),
       pg_catalog.split_part(c.config, '=', 1) in ('search_path', 'local_preload_libraries', 'session_preload_libraries',
                                                   'temp_tablespaces'),
       case when s.setrole <> 0 then pg_catalog.pg_get_userbyid(s.setrole)::text end
from pg_catalog.pg_db_role_setting s,
     pg_catalog.unnest(s.setconfig) c(config)
where (s.setdatabase = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
       and s.setrole = 0)
   or (s.setrole = (select r.oid from pg_catalog.pg_roles r where r.rolname = current_user)
       and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d
                                 where d.datname = pg_catalog.current_database())))
order by 1, 2
