-- 1,000 tables (at bench.scale = 1) of 100 rows and a primary key each, every third with a secondary index.
-- Setting bench.scale: the factor for the number of tables.

do $$
declare
    tables constant int := greatest(1, (1000 * current_setting('bench.scale')::numeric)::int);
begin
    for i in 1..tables loop
        execute format(
            'create table entity_%1$s (id int primary key, code text not null, amount numeric(10, 2), at timestamptz not null);
             insert into entity_%1$s
             select n, md5(''%1$s/'' || n), n * %1$s / 100.0, timestamptz ''2024-01-01 00:00:00+00'' + n * interval ''1 hour''
             from generate_series(1, 100) as n',
            to_char(i, 'FM0000')
        );
        if i % 3 = 0 then
            execute format('create index on entity_%s (code)', to_char(i, 'FM0000'));
        end if;
    end loop;
end
$$;
