-- What stands at the beginning of each capture function while the source is fenced. PostgreSQL 10 or later.
-- {schema}: quoted name of our schema. Sessions pass that have set decamp.pass: to on, and what they write is captured; to the
-- subscription that leads back here, and it is not. Operators are qualified: the function runs with the writer's search_path and
-- its owner's rights.
    /* decamp fence */
    if coalesce(pg_catalog.current_setting('decamp.pass', true), '') operator(pg_catalog.<>) 'on' then
        if exists (
            select 1
            from {schema}.origin o
            where o.counterpart::pg_catalog.text operator(pg_catalog.=) pg_catalog.current_setting('decamp.pass', true))
        then
            return null;
        end if;
        raise exception using
            errcode = '25006',
            message = pg_catalog.format('cannot write to table %I.%I: this database is moving to another server',
                                        tg_table_schema, tg_table_name),
            detail = 'All its tables are read-only while the last changes are carried over.',
            hint = 'Nothing of this statement was written. Connect again and retry in a moment.';
    end if;
    /* end of decamp fence */
