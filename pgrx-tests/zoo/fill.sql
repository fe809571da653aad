-- Fills the zoo. The setting zoo.rows says how large its larger tables are to be. The same rows each time.

insert into users (email, name, status, home, tags, props, manager_id, created_at, updated_at)
select
    'user' || i || '@example.org',
    case i % 5 when 0 then null when 1 then '' when 2 then 'O''Neill \ "' || i || '"' else 'User ' || i end,
    (enum_range(null::user_status))[1 + i % 3],
    case i % 4 when 0 then null when 1 then row(null, null)::address else row('Street, "' || i || '" \', '0' || i)::address end,
    case i % 3 when 0 then null when 1 then '{}' else array['a', null, 'NULL', '{}', 'b"' || i] end,
    jsonb_build_object('i', i, 'text', E'tab\tnewline\n', 'null', null, 'numbers', array[1.0, 1.00]),
    case when i > 10 then i / 10 end,
    timestamptz '2020-01-01 00:00:00.000001+00' + i * interval '1 hour',
    timestamptz '2020-01-01 00:00:00+00'
from generate_series(1, current_setting('zoo.rows')::integer) as i;

insert into sales.orders (user_id, amount, note)
select 1 + i % current_setting('zoo.rows')::integer, i * 1.01, case when i % 2 = 0 then repeat(md5(i::text), i % 40) end
from generate_series(1, current_setting('zoo.rows')::integer) as i;

insert into sales.order_lines (order_id, line, quantity, price)
select i, j, i * j, (i / 7.0)::numeric::money
from generate_series(1, current_setting('zoo.rows')::integer) as i, generate_series(1, 3) as j;

insert into text_keys values
    ('', 'empty'), (' ', 'blank'), ('NULL', null), ('\N', '\N'), ('\.', '\.'), (E'tab\there', E'\t'), (E'line\nbreak', E'\r\n'),
    ('quote''', ''''), ('"double"', '"'), ('back\slash', '\\'), ('ключ', 'значение'), ('🐘', '🐘🐘'), ('a,b', '(a,b)'), ('{}', '{NULL}');
insert into text_keys
select md5(i::text), repeat('x', i % 100) from generate_series(1, current_setting('zoo.rows')::integer) as i;
insert into c_keys select key, left(value, 10) from text_keys where key ~ '^[0-4]' or char_length(key) < 10;
insert into bpchar_keys select left(md5(i::text), 1 + i % 4) || i, i from generate_series(1, 60) as i;
insert into uuid_keys
select md5(i::text)::uuid, case when i % 3 > 0 then decode(md5(i::text), 'hex') end
from generate_series(1, current_setting('zoo.rows')::integer) as i;
insert into bytea_keys values ('', 'empty'), ('\x00', 'zero'), ('\xff5c27', 'backslash and quote');
insert into bytea_keys select decode(md5(i::text), 'hex'), i from generate_series(1, 60) as i;
insert into numeric_keys values
    ('NaN', 'NaN', 'NaN', 'NaN'), (0, 0.000, '-0', '-0'), (1e100, 1e-100, 'Infinity', '-Infinity'), (1.50, 1.5, 0.1, 0.1), (-1, null, null, null);
insert into numeric_keys select i + 10, i / 3.0, i / 3.0, i / 3.0 from generate_series(1, 60) as i;
insert into timestamptz_keys values
    ('infinity', 'infinity', 'infinity', '24:00', '24:00+14'), ('-infinity', '-infinity', '-infinity', '00:00', '00:00-14'),
    ('4713-01-01 00:00:00+00 BC', '0001-01-01 BC', '0001-01-01 00:00:00.000001', null, null),
    ('294276-12-31 23:59:59.999999+00', '5874897-12-31', null, '23:59:59.999999', null);
insert into timestamptz_keys (at) select timestamptz '2020-03-29 00:00+00' + i * interval '7 minutes' from generate_series(1, 60) as i;
insert into date_keys
select date '2020-02-28' + i, make_interval(i, 0, 0, -i, i, 0, i / 7.0) from generate_series(1, 60) as i;
insert into enum_keys select s, char_length(s::text) from unnest(enum_range(null::user_status)) as s;
insert into only_keys select 'only ' || i from generate_series(1, 60) as i;
insert into only_keys_two select i % 10, i / 10 from generate_series(1, 60) as i;
insert into reversed_key select i, 'second ' || i, i, md5(i::text)::uuid from generate_series(1, 60) as i;
insert into unique_key select 'code ' || i, nullif(i, 7), 'v' || i from generate_series(1, 60) as i;
insert into range_keys select int4range(i, i + i % 5), i from generate_series(1, 60) as i where i % 5 > 0;
insert into range_keys values ('empty', 'empty'), ('(,0)', 'unbounded');
insert into array_keys select array_fill(i, array[1 + i % 4]), i from generate_series(1, 60) as i;
insert into array_keys values ('{}', 'empty'), ('{null}', 'null');
insert into boolean_keys values (true, 1), (false, 0);
insert into inet_keys values ('10.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03'), ('10.0.0.1/8', null, null), ('::1', '::/0', null);

insert into every_type values (1);
insert into every_type values (
    2, '{"b":1, "a" : 2.0, "b":3}', '{"b":1, "a" : 2.0, "b":3}', '(1.5,-0)', '(1,1),(0,0)', '((0,0),(1,1),(1,0))', '<(0,0),2>',
    '10101', '', 'x', 'a name', 4294967295, '16/B374D848', 'a:1A fat:2B,4C ''quo te'':5', 'fat & (rat | !cat)',
    '1 year -2 months +3 days -04:05:06.789', '[2020-01-01 00:00+00,infinity)', '(,1.50]', '("a, b","""\\")',
    array[row('x', null)::address, null], '[0:1][-1:0]={{1,2},{3,null}}', '{new,NULL,"it''s \"complicated\""}',
    '1e-300', '1e-30', '123456789012345678901234567890.123456789000', '', '\x'
);
insert into every_type values (
    3, 'null', 'null', null, null, null, null, null, '00001', '', '', 0, '0/0', '', null, '00:00', 'empty', 'empty', row('', ''), '{}',
    '{}', '{}', 'NaN', 'Infinity', 'NaN', null, null
);
insert into every_type (id, a_json, a_jsonb, a_numeric, a_text)
select i, json_build_object('i', i), to_jsonb(i), i / 7.0, chr(i + 30) from generate_series(4, 60) as i;

insert into large_values
select i, 'a megabyte', repeat(md5(i::text), 32768), decode(repeat(md5(i::text), 32768), 'hex') from generate_series(1, 2) as i;
insert into large_values
select i, 'some kilobytes', string_agg(md5((i * 1000 + j)::text), '' order by j), null
from generate_series(3, 12) as i, generate_series(1, 300) as j group by i;

insert into "Mixed Case"."Table" select i, i, '"', '''', '\', E'\t', 'é', '%s $1 :name' from generate_series(1, 60) as i;
insert into "odd""schema'\"."odd""table'\" select E'"''\\\t\n' || i, i from generate_series(1, 60) as i;
insert into "odd""schema'\".a_name_as_long_as_postgresql_allows_it_to_be_sixty_three_bytes_ select i, i from generate_series(1, 60) as i;
insert into collisions (k, "new", t, taken, "row") select i, 'new ' || i, 't', 'taken', 'row' from generate_series(1, 60) as i;

insert into dropped_columns (id, value) select i, i from generate_series(1, 60) as i;
insert into identity_always (value) select 'value ' || i from generate_series(1, 60) as i;
insert into identity_by_default (value) select 'value ' || i from generate_series(1, 60) as i;
insert into deferred_unique select i, i from generate_series(1, 60) as i;
insert into bookings select i, int4range(i * 10, i * 10 + 5) from generate_series(1, 60) as i;
insert into counters select 'counter ' || i, 0 from generate_series(1, 20) as i;
insert into truncated_now_and_then select i, i from generate_series(1, 60) as i;
begin;
insert into hens select i, i * 2 from generate_series(1, 30) as i;
insert into eggs select i, (i + 1) / 2 from generate_series(1, 60) as i;
commit;
insert into vehicles select i, 'vehicle ' || i from generate_series(1, 20) as i;
insert into cars select i, 'car ' || i, i % 5 from generate_series(21, 40) as i;
insert into trucks select i, 'truck ' || i, i * 1.5 from generate_series(41, 60) as i;
insert into wide (id, c1, c100, c200) select i, i, '', i from generate_series(1, 60) as i;

select nextval('ticket') from generate_series(1, 17);
select nextval('"Mixed Case"."Countdown"') from generate_series(1, 5);
select nextval('"odd""schema''\"."odd""sequence''\"') from generate_series(1, 3);
refresh materialized view users_per_status;
