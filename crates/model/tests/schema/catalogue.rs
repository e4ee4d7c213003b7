//! What a database's catalogue says about its tables, in lines that can be compared.
use std::collections::BTreeSet;

use super::Database;

/// One line for each column, index, constraint, sequence and trigger of the tables in `public`.
///
/// The place of a column counts from the columns that are left: a Quay database has gaps where
/// columns were dropped.
const LINES: &str = "
    with ours as (
        select c.oid, c.relname, c.relkind from pg_class c
        where c.relnamespace = 'public'::regnamespace
    ), columns as (
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid) as value, a.attidentity::text as identity,
               row_number() over (partition by c.oid order by a.attnum) as place
        from ours c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where c.relkind = 'r'
    )
    select format('column %s %s.%s %s %s default %s %s', place, relname, attname, type,
                  case when attnotnull then 'not null' else 'null' end, coalesce(value, '-'),
                  identity)
    from columns
    union all select format('index %s.%s %s', tablename, indexname, indexdef)
    from pg_indexes where schemaname = 'public'
    union all select format('constraint %s.%s %s', conrelid::regclass, conname,
                            pg_get_constraintdef(oid))
    from pg_constraint where connamespace = 'public'::regnamespace
    union all select format('sequence %s', relname) from ours where relkind = 'S'
    union all select format('trigger %s.%s', t.tgrelid::regclass, t.tgname)
    from pg_trigger t where not t.tgisinternal";

/// Reads the lines of all tables, those of ours too.
pub(crate) async fn lines(database: &Database) -> BTreeSet<String> {
    database.read(LINES).await.into_iter().collect()
}

/// Reads the lines of the tables that are not ours.
pub(crate) async fn foreign_lines(database: &Database) -> BTreeSet<String> {
    let mut lines = lines(database).await;
    lines.retain(|line| !line.contains("quayhand_"));
    lines
}

#[tokio::test]
async fn sees_columns_indexes_keys_and_triggers() {
    let database = Database::empty().await;
    let before = lines(&database).await;
    assert_eq!(before, BTreeSet::new());
    database
        .run(
            "create table a (id int primary key); create table b (a int references a default 1); \
             create function f() returns trigger language plpgsql as 'begin return null; end'; \
             create trigger t after delete on a execute function f()",
        )
        .await;
    let after = lines(&database).await;
    for line in [
        "column 1 b.a integer null default 1 ",
        "constraint b.b_a_fkey FOREIGN KEY (a) REFERENCES a(id)",
        "index a.a_pkey CREATE UNIQUE INDEX a_pkey ON public.a USING btree (id)",
        "trigger a.t",
    ] {
        assert!(after.contains(line), "{line} in {after:#?}");
    }
}
