-- Background worker slots of this server, and what it preloads. Our own server.
-- No parameters.
-- Returns maximum, running, preloaded (shared_preload_libraries; null: may not be read).
select pg_catalog.current_setting('max_worker_processes')::int as maximum,
       (select count(*)
        from pg_catalog.pg_stat_activity a
        where a.backend_type not in ('client backend', 'autovacuum launcher', 'autovacuum worker', 'checkpointer',
                                     'background writer', 'walwriter', 'walsender', 'walreceiver', 'startup', 'archiver',
                                     'walsummarizer', 'slotsync worker', 'io worker', 'logger',
                                     'standalone backend')) as running,
       (select s.setting from pg_catalog.pg_settings s where s.name = 'shared_preload_libraries') as preloaded
