-- The yardstick: everything `tag_expiry --all` collects, by hand, in one transaction.
--
-- No batches, no row locks, no second looks, no one else on the database: a limit, not a
-- design. It reaches the same survivors and writes the same tombstones.
begin;
set local work_mem = '256MB';
set local statement_timeout = 0;

create temporary table eligible on commit drop as
select r.id as repository_id, r.namespace_user_id,
       floor(extract(epoch from clock_timestamp()) * 1000)::bigint
       - ns.removed_tag_expiration_s * 1000 as cut_ms
  from repository r
  join "user" ns on ns.id = r.namespace_user_id
 where r.state <> 3 and ns.enabled;
create unique index on eligible (repository_id);
analyze eligible;

create temporary table gone_tag on commit drop as
select t.id, t.repository_id, t.name, t.manifest_id
  from eligible e
  join tag t on t.repository_id = e.repository_id and t.lifetime_end_ms <= e.cut_ms;
create unique index on gone_tag (id);
analyze gone_tag;

delete from tagpullstatistics s
 using (select distinct repository_id, name from gone_tag) g
 where s.repository_id = g.repository_id and s.tag_name = g.name;
delete from tagnotificationsuccess n using gone_tag g where n.tag_id = g.id;
delete from tag t using gone_tag g where t.id = g.id;

create temporary table gone_upload on commit drop as
select b.id, b.blob_id
  from uploadedblob b
  join eligible e on e.repository_id = b.repository_id
 where b.expires_at <= clock_timestamp() at time zone 'utc';
delete from uploadedblob b using gone_upload g where b.id = g.id;

create temporary table reached on commit drop as
with recursive below (id) as (
    select distinct manifest_id from gone_tag where manifest_id is not null
    union
    select c.child_manifest_id from below join manifestchild c on c.manifest_id = below.id
)
select m.id, m.repository_id, m.digest
  from below
  join manifest m on m.id = below.id
 where not exists (select 1 from tag t where t.manifest_id = m.id);
create unique index on reached (id);
analyze reached;

create temporary table loose_label (id bigint) on commit drop;
create temporary table loose_blob (id bigint) on commit drop;
create temporary table touched (repository_id bigint) on commit drop;

do $$
declare
    peeled bigint;
begin
    loop
        create temporary table layer on commit drop as
        select c.id, c.repository_id, c.digest
          from reached c
         where not exists (select 1 from manifestchild p where p.child_manifest_id = c.id)
           and not exists (select 1
                             from manifest r
                            where r.repository_id = c.repository_id and r.subject = c.digest);
        get diagnostics peeled = row_count;
        exit when peeled = 0;
        create unique index on layer (id);
        analyze layer;
        with d as (delete from manifestlabel x using layer l where x.manifest_id = l.id
                   returning x.label_id)
        insert into loose_label select distinct label_id from d;
        delete from manifestchild x using layer l where x.manifest_id = l.id;
        with d as (delete from manifestblob x using layer l where x.manifest_id = l.id
                   returning x.blob_id)
        insert into loose_blob select distinct blob_id from d;
        delete from manifestsecuritystatus x using layer l where x.manifest_id = l.id;
        delete from manifestpullstatistics x
         using layer l
         where x.repository_id = l.repository_id and x.manifest_digest = l.digest;
        delete from manifest x using layer l where x.id = l.id;
        insert into touched select distinct repository_id from layer;
        delete from reached c using layer l where c.id = l.id;
        drop table layer;
    end loop;
end $$;

update quotarepositorysize q
   set size_bytes = 0, backfill_start_ms = null, backfill_complete = false
 where q.backfill_start_ms is not null
   and q.repository_id in (select repository_id from touched);
update quotanamespacesize q
   set size_bytes = 0, backfill_start_ms = null, backfill_complete = false
 where q.backfill_start_ms is not null
   and q.namespace_user_id in (select e.namespace_user_id
                                 from touched t
                                 join eligible e on e.repository_id = t.repository_id);

analyze loose_label;
delete from label l
 using (select distinct id from loose_label) c
 where l.id = c.id
   and not exists (select 1 from manifestlabel x where x.label_id = l.id);

insert into loose_blob select blob_id from gone_upload;
create temporary table gone_blob on commit drop as
select s.id, s.uuid, s.cas_path, s.content_checksum
  from (select distinct id from loose_blob) c
  join imagestorage s on s.id = c.id
 where not exists (select 1 from manifestblob x where x.blob_id = s.id)
   and not exists (select 1 from uploadedblob x where x.blob_id = s.id)
   and exists (select 1 from imagestorageplacement x where x.storage_id = s.id);
create unique index on gone_blob (id);
analyze gone_blob;

with placed as (
    delete from imagestorageplacement p using gone_blob g where p.storage_id = g.id
    returning g.content_checksum, g.cas_path, g.uuid, p.location_id
)
insert into quayhand_tombstone (location_id, digest, legacy_uuid)
select location_id, decode(substr(content_checksum, 8), 'hex'),
       case when cas_path then null else uuid end
  from placed
 where content_checksum <>
       'sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4';
delete from imagestoragesignature x using gone_blob g where x.storage_id = g.id;
delete from imagestorage s using gone_blob g where s.id = g.id;
commit;
