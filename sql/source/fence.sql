-- What stands at the beginning of each capture function while the source is fenced. PostgreSQL 10 or later.
-- No parameters. Our own sessions pass by the setting decamp.pass. The operator is qualified: the function runs with the
-- writer's search_path and its owner's rights.
    /* decamp fence */
    if coalesce(pg_catalog.current_setting('decamp.pass', true), '') operator(pg_catalog.<>) 'on' then
        raise exception using
            errcode = '25006',
            message = pg_catalog.format('cannot write to table %I.%I: this database is moving to another server',
                                        tg_table_schema, tg_table_name),
            detail = 'All its tables are read-only while the last changes are carried over.',
            hint = 'Nothing of this statement was written. Connect again and retry in a moment.';
    end if;
    /* end of decamp fence */
