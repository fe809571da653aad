-- Every kind of index, key and foreign key that has to survive being taken off and put back. PostgreSQL 10 or later.
-- Needs a tablespace "Deferral Space" and, as it alters system triggers, a superuser.
create schema zoo;
create schema "Odd ""Schema""\";

-- Constraints.
create table zoo.parent (
    id        int constraint parent_pkey primary key,
    code      text not null constraint parent_code_key unique,
    region    text,
    place     int,
    later     int unique deferrable initially deferred,
    perhaps   int unique deferrable,
    spare     int unique with (fillfactor = 55),
    constraint parent_region_place_key unique (region, place)
);
comment on index zoo.parent_pkey is E'the index''s own \\ comment';
comment on constraint parent_pkey on zoo.parent is 'the constraint''s comment';
comment on constraint parent_later_key on zoo.parent is 'late';
alter table zoo.parent cluster on parent_code_key;
alter table zoo.parent replica identity using index parent_code_key;

create table zoo.elsewhere (
    id   int constraint elsewhere_pkey primary key using index tablespace "Deferral Space",
    a    text,
    span int4range,
    constraint elsewhere_span_excl exclude using gist (span with &&)
        with (fillfactor = 66) using index tablespace "Deferral Space" where (a <> '') deferrable initially deferred,
    constraint elsewhere_a_excl exclude (lower(a) with =)
);
create index elsewhere_a_idx on zoo.elsewhere (a) tablespace "Deferral Space" where a is not null;
alter index zoo.elsewhere_a_idx depends on extension plpgsql;
alter index zoo.elsewhere_pkey depends on extension plpgsql;
comment on index zoo.elsewhere_span_excl is 'index of an exclusion';
comment on constraint elsewhere_span_excl on zoo.elsewhere is 'exclusion';

-- Indexes.
create table zoo.indexed (
    a    int,
    b    text collate "C",
    c    text,
    doc  jsonb,
    span int4range,
    spot point,
    u    int not null,
    v    int not null
);
create index on zoo.indexed (a);
create index indexed_lower_idx on zoo.indexed (lower(c), a, (a + 1));
create index indexed_order_idx on zoo.indexed (a desc nulls last, b nulls first, c collate "POSIX" desc);
create index indexed_opclass_idx on zoo.indexed (c text_pattern_ops, b collate "POSIX" varchar_pattern_ops desc);
create index indexed_partial_idx on zoo.indexed (a) where b = 'it''s' and c like '%\_%';
create index indexed_hash_idx on zoo.indexed using hash (c) with (fillfactor = 44);
create index indexed_gin_idx on zoo.indexed using gin (doc jsonb_path_ops) with (fastupdate = off);
create index indexed_gist_idx on zoo.indexed using gist (span) with (buffering = on, fillfactor = 77);
create index indexed_spgist_idx on zoo.indexed using spgist (spot);
create index indexed_brin_idx on zoo.indexed using brin (u, v) with (pages_per_range = 3);
create unique index indexed_u_idx on zoo.indexed (u) with (fillfactor = 50);
create unique index indexed_v_partial_idx on zoo.indexed (v) where a > 0;
create unique index indexed_expression_idx on zoo.indexed ((u + v), upper(b));
comment on index zoo.indexed_lower_idx is 'lower';
alter table zoo.indexed cluster on indexed_order_idx;
alter table zoo.indexed replica identity using index indexed_u_idx;

-- A unique index that is no constraint, referred to.
create table zoo.refers_to_index (u int constraint refers_to_index_fkey references zoo.indexed (u));

-- A key made of an index that was there.
create table zoo.adopted (a int not null, b int, c int);
create unique index adopted_key on zoo.adopted (a) with (fillfactor = 60);
alter table zoo.adopted add constraint adopted_key primary key using index adopted_key;

-- Names.
create table "Odd ""Schema""\"."Odd 'table' %s \" (
    "a ""quoted"" \ column"   int constraint "Odd ""key"" 'of' \ it all %I" primary key,
    "select"                  int constraint "unique deferrable" unique deferrable,
    "ON ONLY x"               text
);
create index "Odd 'index' \ ON ONLY ""x"" %s" on "Odd ""Schema""\"."Odd 'table' %s \" ("ON ONLY x", "select" desc);
comment on index "Odd ""Schema""\"."Odd 'index' \ ON ONLY ""x"" %s" is E'odd \\ ''comment'' %s $$ "';
comment on constraint "Odd ""key"" 'of' \ it all %I" on "Odd ""Schema""\"."Odd 'table' %s \" is '\';
alter table "Odd ""Schema""\"."Odd 'table' %s \" add constraint "Odd 'foreign' ""key"" \ %s"
    foreign key ("select") references "Odd ""Schema""\"."Odd 'table' %s \" ("a ""quoted"" \ column")
    on delete set null deferrable;
comment on constraint "Odd 'foreign' ""key"" \ %s" on "Odd ""Schema""\"."Odd 'table' %s \" is 'odd \ too';
create table zoo.a_table_with_a_name_that_has_all_of_the_63_bytes_that_it_can_ha (
    a_column_with_a_name_that_has_all_of_the_63_bytes_that_it_can_h int primary key,
    b_column_with_a_name_that_has_all_of_the_63_bytes_that_it_can_h int unique
);
create index on zoo.a_table_with_a_name_that_has_all_of_the_63_bytes_that_it_can_ha
    (b_column_with_a_name_that_has_all_of_the_63_bytes_that_it_can_h,
     a_column_with_a_name_that_has_all_of_the_63_bytes_that_it_can_h);
create table zoo."Größe" ("Länge" int primary key, "größer" int unique);

-- Foreign keys.
create table zoo.child (
    id        bigint generated by default as identity primary key,
    parent_id int not null references zoo.parent on delete cascade on update set null,
    code      text constraint child_code_fkey references zoo.parent (code) match full deferrable initially deferred,
    region    text,
    place     int,
    self_id   bigint references zoo.child,
    altered   int constraint child_altered_fkey references zoo.parent,
    constraint child_region_fkey foreign key (region, place) references zoo.parent (region, place)
);
alter table zoo.child add constraint child_late_fkey foreign key (parent_id) references zoo.parent not valid;
comment on constraint child_code_fkey on zoo.child is 'a foreign key';
comment on constraint child_late_fkey on zoo.child is 'never validated';
do $$
declare
    t record;
begin
    for t in
        select g.tgname, g.tgrelid::regclass as relation,
               case p.proname when 'RI_FKey_check_ins' then 'disable'
                              when 'RI_FKey_check_upd' then 'enable replica'
                              else 'enable always' end as how
        from pg_trigger g
        join pg_proc p on p.oid = g.tgfoid
        where g.tgconstraint = (select oid from pg_constraint where conname = 'child_altered_fkey')
    loop
        execute format('alter table %s %s trigger %I', t.relation, t.how, t.tgname);
    end loop;
end
$$;

-- Not among the tables that are copied; refers to one of them.
create schema outside;
create table outside.refers (id int primary key references zoo.parent, code text references zoo.parent (code));
comment on constraint refers_id_fkey on outside.refers is 'from outside';
create table outside.referred (id int primary key);
create table zoo.refers_out (id int primary key, out_id int references outside.referred);

-- Old-style inheritance: each its own keys.
create table zoo.line (a int primary key, b int unique);
create table zoo.line_below (c int, constraint line_below_pkey primary key (a)) inherits (zoo.line);
create table zoo.line_keyless () inherits (zoo.line);
create index on zoo.line (b desc);
create index on zoo.line_below (b desc);

-- Left alone.
create materialized view zoo.seen as select id, code from zoo.parent;
create unique index seen_idx on zoo.seen (id);
create table zoo.invalid (a int, b int);
create index invalid_a_idx on zoo.invalid (a);
create index invalid_b_idx on zoo.invalid (b);
update pg_index set indisvalid = false where indexrelid = 'zoo.invalid_a_idx'::regclass;

-- Something depends on the key, which therefore cannot go.
create table zoo.grouped (id int primary key, a int unique);
create view zoo.by_key as select id, a from zoo.grouped group by id;

create table zoo.nothing (a int, b text);
create unlogged table zoo.unlogged (a int primary key, b int);
create index on zoo.unlogged (b);
