-- The zoo, where citext and hstore are there: keys and values of an extension's types.

create table citext_keys (name citext primary key, value text);
create table hstores (id integer primary key, value hstore);

insert into citext_keys select 'Name ' || i, 'Value ' || i from generate_series(1, 50) as i;
insert into hstores select i, hstore(array['a', i::text, 'quote"', 'back\slash', 'null', null]) from generate_series(1, 50) as i;
