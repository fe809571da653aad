-- What a server and our role there are like. Source or target, PostgreSQL 10 or later.
-- No parameters.
-- Returns version, encoding, role, database, standby, read_only (what role or database setting would impose, before our
-- own settings), superuser, may_create (schemas in this database), bytes (of the database), ssl (offered), local (it saw
-- us come over a socket or the loopback), plpgsql (may be used by our role).
select pg_catalog.current_setting('server_version') as version,
       pg_catalog.current_setting('server_encoding') as encoding,
       r.rolname as role,
       pg_catalog.current_database() as database,
       pg_catalog.pg_is_in_recovery() as standby,
       coalesce((select s.reset_val = 'on'
                 from pg_catalog.pg_settings s
                 where s.name = 'default_transaction_read_only'), false) as read_only,
       r.rolsuper as superuser,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') as may_create,
       pg_catalog.pg_database_size(pg_catalog.current_database()) as bytes,
       pg_catalog.current_setting('ssl') = 'on' as ssl,
       coalesce(pg_catalog.inet_client_addr() <<= inet '127.0.0.0/8'
                or pg_catalog.inet_client_addr() = inet '::1', true) as local,
       coalesce((select pg_catalog.has_language_privilege(l.oid, 'usage')
                 from pg_catalog.pg_language l
                 where l.lanname = 'plpgsql'), false) as plpgsql
from pg_catalog.pg_roles r
where r.rolname = current_user
