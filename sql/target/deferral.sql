-- What is taken off the tables before they are filled, and the SQL that puts it back as it was: foreign keys, primary
-- keys, unique and exclusion constraints, indexes. Target, PostgreSQL 10 or later; search_path has to be pg_catalog.
-- $1: oids of the tables: ordinary ones, old-style inheritance children, roots of partitioned tables (with them all
-- their partitions).
--
-- A piece is what stands or falls as one: a foreign key, a constraint, an index; a partitioned index or constraint with
-- everything attached to it. It has one to many rows, one of which has its drops.
-- Returns, in the order of dropping:
--   table_oid   which of $1 it belongs to: the root for a partition's own, the referencing table for a foreign key, the
--               referenced one if the other is not in $1
--   phase       'foreign key', 'validation', 'constraint', 'index'
--   ord         order of building within (table_oid, phase)
--   piece       the same in all rows of a piece, and only there
--   name        for people; unique within (table_oid, phase)
--   other_oid   the other table of a foreign key, if it is in $1 and another one
--   is_unique   forbids two rows that are alike (primary key, unique, exclusion)
--   weight      of an index: very roughly the bytes to be sorted per row, to build the heaviest first
--   drops       statements that do nothing where there is nothing; empty if another row of the piece has them
--   builds      statements to be run in order in one transaction
--
-- Dropping: row by row. If a row's drops fail because something depends on it (2BP01: a view grouped by the primary
-- key; a leaf's constraint under a mere index), that piece stays: none of its rows may be built. All others can go.
-- Building:
--   1. 'index': in any order, any number at once; nothing here locks more of a table than SHARE.
--   2. 'constraint': once all index rows of the table are there; all rows of the table by ord in one session, in one
--      transaction or several.
--   3. 'foreign key': once both tables are through 2.
--   4. 'validation': after its foreign key, in another transaction.
--
-- Left alone: invalid indexes, and a partitioned index any of whose leaves is one; exclusion constraints of partitioned
-- tables if those of partitions differ in tablespace or storage parameters; what a partition in $1 has from a parent
-- outside; foreign keys with altered triggers, unless we are superuser (nobody else can restore them).
-- Restored differently:
--   comment, validity and altered triggers of what partitions, on either side, have from a parent's foreign key, and
--   its name on referenced partitions or where the parent's name is taken;
--   connoinherit of partitions' keys, conislocal of the NOT NULL below them on 18 (both as after pg_restore);
--   which of several equal unique indexes a foreign key leans on, and which of several equal indexes of a partition is
--   attached to which parent, if other partitions are foreign tables;
--   statistics of index expressions (until ANALYZE).
with recursive
member(oid, root, depth) as (
    select u.oid, u.oid, 0
    from pg_catalog.unnest($1::oid[]) u(oid)
    union all
    select i.inhrelid, m.root, m.depth + 1
    from member m
    join pg_catalog.pg_class p on p.oid = m.oid and p.relkind = 'p'
    join pg_catalog.pg_inherits i on i.inhparent = m.oid
),
-- A partition that is in $1 itself, along with its root, belongs to the root.
relation as (
    select distinct on (m.oid)
           m.oid, m.root, m.depth, c.relkind, pg_catalog.format('%I.%I', n.nspname, c.relname) as name,
           pg_catalog.bool_or(c.relkind = 'f') over (partition by m.root) as has_foreign
    from member m
    join pg_catalog.pg_class c on c.oid = m.oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    order by m.oid, m.depth desc
),
extension as (
    select d.objid as oid, pg_catalog.array_agg(e.extname order by e.extname) as names
    from pg_catalog.pg_extension e
    join pg_catalog.pg_depend d
      on d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid
    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.deptype = 'x'
    group by d.objid
),
-- whole: the constraint cannot take over a finished index, nor be attached to a parent.
-- recursive: created without ONLY. Of a whole one that makes the leaves too. An index above foreign tables, which have
-- none to attach, would otherwise stay invalid; it finds the other leaves by itself.
index as (
    select i.indexrelid as oid, i.indrelid, r.root, r.depth, r.name as "table", c.relkind, h.inhparent as parent,
           c.relname, pg_catalog.format('%I.%I', n.nspname, c.relname) as name, am.amname,
           i.indisvalid, i.indisunique, i.indisprimary, i.indisclustered, i.indisreplident, c.reloptions,
           coalesce(s.spcname, '') as tablespace, d.description as comment, e.names as extensions,
           con.oid as constraint, con.conname, con.contype, con.condeferrable, con.condeferred,
           coalesce(con.contype = 'x' or (pg_catalog.to_jsonb(con) ->> 'conperiod')::bool, false) as whole,
           c.relkind = 'I' and i.indisvalid
           and case when con.oid is null then r.has_foreign
                    else con.contype = 'x' or coalesce((pg_catalog.to_jsonb(con) ->> 'conperiod')::bool, false)
               end as recursive
    from relation r
    join pg_catalog.pg_index i on i.indrelid = r.oid
    join pg_catalog.pg_class c on c.oid = i.indexrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_am am on am.oid = c.relam
    left join pg_catalog.pg_tablespace s on s.oid = c.reltablespace
    left join pg_catalog.pg_inherits h on h.inhrelid = i.indexrelid
    left join pg_catalog.pg_constraint con
           on con.conrelid = i.indrelid and con.conindid = i.indexrelid and con.contype in ('p', 'u', 'x')
    left join pg_catalog.pg_description d
           on d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objoid = i.indexrelid and d.objsubid = 0
    left join extension e on e.oid = i.indexrelid
),
tree(oid, top) as (
    select x.oid, x.oid from index x where x.parent is null
    union all
    select x.oid, t.top from tree t join index x on x.parent = t.oid
),
top as (
    select t.top as oid
    from tree t
    join index x on x.oid = t.oid
    group by t.top
    having pg_catalog.bool_and(x.indisvalid or x.relkind = 'I')
       and not (pg_catalog.bool_or(x.whole) and pg_catalog.count(distinct (x.reloptions, x.tablespace)) > 1)
),
-- created: the statement that makes the index, and what belongs to the index alone.
-- joined: the constraint on a finished index. attached: to its parent. marked: what needs all of that.
described as (
    select x.*, t.top, x.relkind = 'I' or x.whole as late, coalesce(u.weight, 0) as weight,
           case when x.whole and x.parent is not null then array[
               pg_catalog.format('do %L', pg_catalog.format(
                   'declare s text; begin for s in '
                   'select pg_catalog.format(''alter index %%I.%%I rename to %%I'', n.nspname, c.relname, %L) '
                   'from pg_catalog.pg_inherits h join pg_catalog.pg_index i on i.indexrelid = h.inhrelid '
                   'join pg_catalog.pg_class c on c.oid = i.indexrelid '
                   'join pg_catalog.pg_namespace n on n.oid = c.relnamespace '
                   'where h.inhparent = %L::pg_catalog.regclass and i.indrelid = %L::pg_catalog.regclass '
                   'and c.relname <> %L loop execute s; end loop; end', x.relname, p.name, x."table", x.relname))]
           else array[
               pg_catalog.format('set local default_tablespace = %L', x.tablespace),
               case when x.relkind = 'I' and x.constraint is not null or x.whole then
                   pg_catalog.format('alter table %s%s add constraint %I %s',
                       case when x.recursive then '' else 'only ' end, x."table", x.conname,
                       case when x.contype = 'x' or x.reloptions is null then f.definition
                       else pg_catalog.left(f.definition, pg_catalog.length(f.definition) - pg_catalog.length(f.timing))
                            || pg_catalog.format(' with (%s)', pg_catalog.array_to_string(x.reloptions, ', '))
                            || f.timing end)
               when x.recursive then
                   pg_catalog.regexp_replace(f.definition, '^(CREATE INDEX ("([^"]|"")+"|[^ "]+) ON )ONLY ', '\1')
               else f.definition end]
           end
               || u.statistics
               || case when x.comment is not null then
                      pg_catalog.format('comment on index %s is %L', x.name, x.comment) end
               || (select pg_catalog.array_agg(pg_catalog.format('alter index %s depends on extension %I', x.name, ext))
                   from pg_catalog.unnest(x.extensions) ext) as created,
           case when x.constraint is not null and not x.whole and x.relkind = 'i' then array[
               pg_catalog.format('alter table only %s add constraint %I %s using index %I%s', x."table", x.conname,
                                 case x.contype when 'p' then 'primary key' else 'unique' end, x.relname, f.timing)
           ] end as joined,
           case when x.parent is not null and not p.recursive then array[
               pg_catalog.format('alter index %s attach partition %s', p.name, x.name)
           ] end as attached,
           array[case when cd.description is not null then
                     pg_catalog.format('comment on constraint %I on %s is %L', x.conname, x."table", cd.description)
                 end,
                 case when x.indisclustered then
                     pg_catalog.format('alter table only %s cluster on %I', x."table", x.relname) end,
                 case when x.indisreplident then
                     pg_catalog.format('alter table only %s replica identity using index %I', x."table", x.relname)
                 end] as marked
    from top o
    join tree t on t.top = o.oid
    join index x on x.oid = t.oid
    left join index p on p.oid = x.parent
    left join pg_catalog.pg_description cd
           on cd.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and cd.objoid = x.constraint
    cross join lateral (
        select case when x.relkind = 'I' and x.constraint is not null or x.whole
                    then pg_catalog.pg_get_constraintdef(x.constraint)
                    else pg_catalog.pg_get_indexdef(x.oid) end as definition,
               case when x.condeferrable and x.condeferred then ' DEFERRABLE INITIALLY DEFERRED'
                    when x.condeferrable then ' DEFERRABLE'
                    else '' end as timing
    ) f
    cross join lateral (
        select (pg_catalog.sum(case when a.attlen > 0 then a.attlen else 32 end) + 8)::int8
                   * case when x.amname in ('btree', 'hash') then 1 when x.amname = 'brin' then 0 else 4 end as weight,
               pg_catalog.array_agg(pg_catalog.format('alter index %s alter column %s set statistics %s', x.name,
                   case when pg_catalog.current_setting('server_version_num')::int >= 110000 then a.attnum::text
                        else pg_catalog.quote_ident(a.attname) end,
                   a.attstattarget) order by a.attnum) filter (where a.attstattarget >= 0) as statistics
        from pg_catalog.pg_attribute a
        where a.attrelid = x.oid
    ) u
),
late as (
    select d.top,
           pg_catalog.array_agg(u.sql order by v.step, case when v.step = 2 then d.depth else - d.depth end, d.oid,
                                               u.place) as builds
    from described d
    cross join lateral (values (case when d.whole and d.parent is not null then 2 else 1 end,
                                case when d.late then d.created end),
                               (3, d.joined), (4, d.attached), (5, d.marked)) v(step, statements)
    cross join lateral pg_catalog.unnest(v.statements) with ordinality u(sql, place)
    where u.sql is not null
    group by d.top
),
altered as (
    select t.tgconstraint as oid,
           pg_catalog.array_agg(pg_catalog.format('do %L', pg_catalog.format(
               'begin execute (select pg_catalog.format(%L, t.tgname) from pg_catalog.pg_trigger t '
               'join pg_catalog.pg_constraint c on c.oid = t.tgconstraint '
               'where c.conrelid = %L::pg_catalog.regclass and c.conname = %L '
               'and t.tgrelid = %L::pg_catalog.regclass and t.tgfoid = %L::pg_catalog.regprocedure); end',
               pg_catalog.format('alter table only %s %s trigger %%I', pg_catalog.replace(tr.name, '%', '%%'),
                                 case t.tgenabled when 'D' then 'disable' when 'R' then 'enable replica'
                                                  when 'A' then 'enable always' else 'enable' end),
               cr.name, c.conname, tr.name, t.tgfoid::pg_catalog.regprocedure)) order by t.oid) as statements
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_constraint c on c.oid = t.tgconstraint and c.contype = 'f'
    cross join lateral (
        select pg_catalog.format('%I.%I', n.nspname, r.relname) as name
        from pg_catalog.pg_class r
        join pg_catalog.pg_namespace n on n.oid = r.relnamespace
        where r.oid = c.conrelid
    ) cr
    cross join lateral (
        select pg_catalog.format('%I.%I', n.nspname, r.relname) as name
        from pg_catalog.pg_class r
        join pg_catalog.pg_namespace n on n.oid = r.relnamespace
        where r.oid = t.tgrelid
    ) tr
    where t.tgenabled <> 'O'
    group by t.tgconstraint
),
foreign_key as (
    select c.oid, c.conname, c.convalidated, c.conrelid, c.confrelid,
           coalesce((pg_catalog.to_jsonb(c) ->> 'conparentid')::oid, 0) as parent,
           coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::bool, true) as enforced
    from pg_catalog.pg_constraint c
    where c.contype = 'f'
),
reference(top, oid, conrelid, confrelid, conname) as (
    select k.oid, k.oid, k.conrelid, k.confrelid, k.conname
    from foreign_key k
    where k.parent = 0
    union all
    select r.top, k.oid, k.conrelid, k.confrelid, k.conname
    from reference r
    join foreign_key k on k.parent = r.oid and k.confrelid = r.confrelid
),
-- The constraints of partitions get their parent's name, unless it is taken there.
renamed as (
    select r.top,
           pg_catalog.array_agg(pg_catalog.format('alter table only %I.%I rename constraint %I to %I',
                                n.nspname, c.relname, k.conname, r.conname) order by r.oid) as statements
    from reference r
    join foreign_key k on k.oid = r.top and k.conname <> r.conname
    join pg_catalog.pg_class c on c.oid = r.conrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where not exists (
        select 1 from pg_catalog.pg_constraint o where o.conrelid = r.conrelid and o.conname = k.conname)
    group by r.top
),
key as (
    select k.oid, coalesce(a.root, b.root) as table_oid, case when b.root <> a.root then b.root end as other_oid,
           pg_catalog.format('%I.%I.%I', n.nspname, c.relname, k.conname) as name,
           pg_catalog.format('alter table %s%I.%I', m.only, n.nspname, c.relname) as alter,
           pg_catalog.format('alter table if exists %s%I.%I', m.only, n.nspname, c.relname) as alter_if,
           pg_catalog.format('%I.%I', n.nspname, c.relname) as "table", k.conname, m.apart,
           pg_catalog.pg_get_constraintdef(k.oid) as definition, d.description as comment, t.statements as altered,
           rn.statements as renamed
    from foreign_key k
    join pg_catalog.pg_class c on c.oid = k.conrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    left join relation a on a.oid = k.conrelid
    left join relation b on b.oid = k.confrelid
    left join altered t on t.oid = k.oid
    left join renamed rn on rn.top = k.oid
    left join pg_catalog.pg_description d
           on d.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and d.objoid = k.oid
    cross join lateral (
        select case when c.relkind = 'p' then '' else 'only ' end as only,
               k.convalidated and k.enforced
               and (c.relkind <> 'p'
                    or pg_catalog.current_setting('server_version_num')::int >= 180000) as apart
    ) m
    where k.parent = 0 and (a.oid is not null or b.oid is not null)
      and (t.oid is null
           or (select u.rolsuper from pg_catalog.pg_roles u where u.rolname = current_user))
),
piece as (
    select k.table_oid, v.phase, v.rank, k.oid, 'foreign key ' || k.name as piece, k.name, k.other_oid,
           false as is_unique, false as is_primary, null::int8 as weight, v.drops, v.builds
    from key k
    cross join lateral (values
        ('foreign key', 1,
         array[pg_catalog.format('%s drop constraint if exists %I', k.alter_if, k.conname)],
         pg_catalog.array_remove(
             array[pg_catalog.format('%s add constraint %I %s%s', k.alter, k.conname, k.definition,
                                     case when k.apart then ' not valid' else '' end)]
             || k.renamed
             || case when k.comment is not null then
                    pg_catalog.format('comment on constraint %I on %s is %L', k.conname, k."table", k.comment) end
             || k.altered, null)),
        ('validation', 2,
         array[]::text[],
         array[pg_catalog.format('%s validate constraint %I', k.alter, k.conname)])
    ) v(phase, rank, drops, builds)
    where v.rank = 1 or k.apart
    union all
    select x.root, 'constraint', 3, x.oid, x.name, x.name, null, x.indisunique or x.whole, x.indisprimary, x.weight,
           array[case when x.constraint is null then pg_catalog.format('drop index if exists %s', x.name)
                 else pg_catalog.format('alter table if exists %s%s drop constraint if exists %I',
                                        case when x.relkind = 'I' then '' else 'only ' end, x."table", x.conname) end],
           l.builds
    from described x
    join late l on l.top = x.oid
    union all
    select x.root, 'index', 4, x.oid, t.name, x.name, null, x.indisunique, x.indisprimary, x.weight,
           case when l.top is null then array[pg_catalog.format('drop index if exists %s', x.name)]
                else array[]::text[] end,
           pg_catalog.array_remove(x.created, null)
    from described x
    join index t on t.oid = x.top
    left join late l on l.top = x.top
    where not x.late
)
select p.table_oid::int8 as table_oid, p.phase,
       pg_catalog.row_number() over (partition by p.table_oid, p.phase order by p.is_primary desc, p.oid) as ord,
       p.piece, p.name, p.other_oid::int8 as other_oid, p.is_unique, p.weight, p.drops, p.builds
from piece p
order by p.rank, p.table_oid, ord
