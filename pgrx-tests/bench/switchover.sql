-- What is switched over: twenty tables of a million rows each (at bench.scale = 1).
-- Setting bench.scale: the factor for the rows.

do $$
declare
    rows constant int := greatest(1000, (1000000 * current_setting('bench.scale')::numeric)::int);
begin
    for number in 1..20 loop
        execute format('create table account_%s (id bigserial primary key, balance int not null, note text not null)', number);
        execute format('insert into account_%s (balance, note) select n, md5(n::text) from generate_series(1, %s) as n', number, rows);
    end loop;
end
$$;
