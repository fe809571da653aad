-- Partitions that were made on the target while the table's indexes were off: gives them what the others have, so that the
-- table's own indexes become valid. Target, PostgreSQL 11 or later; search_path has to be pg_catalog.
-- {table}: oid of the partitioned table; {known}: its partitions when the indexes were taken off, a quoted array of oids.
do $complete$
declare
    gap record;
    fitting text;
    made text;
begin
    for gap in
        with recursive family(oid) as (
            select {table}::oid
            union all
            select i.inhrelid
            from family f
            join pg_catalog.pg_class c on c.oid = f.oid and c.relkind = 'p'
            join pg_catalog.pg_inherits i on i.inhparent = f.oid
        )
        select p.oid::regclass::text as partition, x.indexrelid::regclass::text as parent, k.contype,
               pg_get_constraintdef(k.oid) as constraint_definition,
               format('create %sindex on %s ', case when x.indisunique then 'unique ' else '' end, p.oid::regclass)
                   || substr(pg_get_indexdef(x.indexrelid),
                             length(format('CREATE %sINDEX %I ON ONLY %s ', case when x.indisunique then 'UNIQUE ' else '' end,
                                           c.relname, x.indrelid::regclass)) + 1) as index_definition,
               p.oid as partition_oid
        from family f
        join pg_catalog.pg_index x on x.indrelid = f.oid and not x.indisvalid
        join pg_catalog.pg_class c on c.oid = x.indexrelid and c.relkind = 'I'
        join pg_catalog.pg_inherits h on h.inhparent = f.oid
        join pg_catalog.pg_class p on p.oid = h.inhrelid and p.relkind <> 'f'
        left join pg_catalog.pg_constraint k on k.conindid = x.indexrelid and k.contype in ('p', 'u')
        where p.oid <> all ({known}::oid[])
          and not exists (
              select from pg_catalog.pg_inherits a
              join pg_catalog.pg_index l on l.indexrelid = a.inhrelid
              where a.inhparent = x.indexrelid and l.indrelid = p.oid)
    loop
        made := null;
        for fitting in
            select x.indexrelid::regclass::text
            from pg_catalog.pg_index x
            left join pg_catalog.pg_constraint k on k.conindid = x.indexrelid and k.contype in ('p', 'u')
            where x.indrelid = gap.partition_oid
              and not exists (select from pg_catalog.pg_inherits a where a.inhrelid = x.indexrelid)
            order by k.contype is not distinct from gap.contype desc, x.indexrelid
        loop
            begin
                execute format('alter index %s attach partition %s', gap.parent, fitting);
                made := fitting;
                exit;
            exception when others then
                null; -- it is another index
            end;
        end loop;
        continue when made is not null;
        if gap.contype is null then
            execute gap.index_definition;
        else
            execute format('alter table %s add %s', gap.partition, gap.constraint_definition);
        end if;
        select x.indexrelid::regclass::text into made
        from pg_catalog.pg_index x
        where x.indrelid = gap.partition_oid
        order by x.indexrelid::int8 desc
        limit 1;
        execute format('alter index %s attach partition %s', gap.parent, made);
    end loop;
end
$complete$
