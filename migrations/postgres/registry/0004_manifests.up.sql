-- Manifests, what they consist of, what is written on them, and what a scan found in them.

create table mediatype (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_mediatype primary key (id)
);
create unique index mediatype_name on mediatype (name);
insert into mediatype (name) values
    ('text/plain'),
    ('application/json'),
    ('text/markdown'),
    ('application/vnd.cnr.blob.v0.tar+gzip'),
    ('application/vnd.cnr.package-manifest.helm.v0.json'),
    ('application/vnd.cnr.package-manifest.kpm.v0.json'),
    ('application/vnd.cnr.package-manifest.docker-compose.v0.json'),
    ('application/vnd.cnr.package.kpm.v0.tar+gzip'),
    ('application/vnd.cnr.package.helm.v0.tar+gzip'),
    ('application/vnd.cnr.package.docker-compose.v0.tar+gzip'),
    ('application/vnd.cnr.manifests.v0.json'),
    ('application/vnd.cnr.manifest.list.v0.json'),
    ('application/vnd.docker.distribution.manifest.v1+prettyjws'),
    ('application/vnd.docker.distribution.manifest.v1+json'),
    ('application/vnd.docker.distribution.manifest.v2+json'),
    ('application/vnd.docker.distribution.manifest.list.v2+json'),
    ('application/vnd.oci.image.index.v1+json'),
    ('application/vnd.oci.image.manifest.v1+json');

-- One row a repository and digest: the same image in two repositories is two rows.
create table manifest (
    id                       serial       not null,
    repository_id            integer      not null,
    digest                   varchar(255) not null,
    media_type_id            integer      not null,
    manifest_bytes           text         not null,
    config_media_type        varchar(255),
    layers_compressed_size   bigint,
    subject                  varchar(255),
    subject_backfilled       boolean,
    artifact_type            varchar(255),
    artifact_type_backfilled boolean,
    constraint pk_manifest primary key (id),
    constraint fk_manifest_media_type_id_mediatype
        foreign key (media_type_id) references mediatype (id),
    constraint fk_manifest_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index manifest_repository_id_digest on manifest (repository_id, digest);
create index manifest_repository_id on manifest (repository_id);
create index manifest_repository_id_media_type_id on manifest (repository_id, media_type_id);
create index manifest_repository_id_config_media_type
    on manifest (repository_id, config_media_type);
create index manifest_repository_id_subject on manifest (repository_id, subject);
create index manifest_repository_id_artifact_type on manifest (repository_id, artifact_type);
create index manifest_digest on manifest (digest);
create index manifest_media_type_id on manifest (media_type_id);
create index manifest_subject_backfilled on manifest (subject_backfilled);
create index manifest_artifact_type_backfilled on manifest (artifact_type_backfilled);

create table manifestblob (
    id            bigserial not null,
    repository_id integer   not null,
    manifest_id   integer   not null,
    blob_id       integer   not null,
    constraint pk_manifestblob primary key (id),
    constraint fk_manifestblob_blob_id_imagestorage
        foreign key (blob_id) references imagestorage (id),
    constraint fk_manifestblob_manifest_id_manifest
        foreign key (manifest_id) references manifest (id),
    constraint fk_manifestblob_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index manifestblob_manifest_id_blob_id on manifestblob (manifest_id, blob_id);
create index manifestblob_repository_id on manifestblob (repository_id);
create index manifestblob_repository_id_blob_id on manifestblob (repository_id, blob_id);
create index manifestblob_manifest_id on manifestblob (manifest_id);
create index manifestblob_blob_id on manifestblob (blob_id);

-- The images of an index.
create table manifestchild (
    id                serial  not null,
    repository_id     integer not null,
    manifest_id       integer not null,
    child_manifest_id integer not null,
    constraint pk_manifestchild primary key (id),
    constraint fk_manifestchild_child_manifest_id_manifest
        foreign key (child_manifest_id) references manifest (id),
    constraint fk_manifestchild_manifest_id_manifest
        foreign key (manifest_id) references manifest (id),
    constraint fk_manifestchild_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index manifestchild_manifest_id_child_manifest_id
    on manifestchild (manifest_id, child_manifest_id);
create index manifestchild_repository_id on manifestchild (repository_id);
create index manifestchild_repository_id_manifest_id on manifestchild (repository_id, manifest_id);
create index manifestchild_repository_id_manifest_id_child_manifest_id
    on manifestchild (repository_id, manifest_id, child_manifest_id);
create index manifestchild_repository_id_child_manifest_id
    on manifestchild (repository_id, child_manifest_id);
create index manifestchild_manifest_id on manifestchild (manifest_id);
create index manifestchild_child_manifest_id on manifestchild (child_manifest_id);

create table labelsourcetype (
    id      serial       not null,
    name    varchar(255) not null,
    mutable boolean      not null,
    constraint pk_labelsourcetype primary key (id)
);
create unique index labelsourcetype_name on labelsourcetype (name);
insert into labelsourcetype (name, mutable) values
    ('manifest', false),
    ('api', true),
    ('internal', false);

create table label (
    id             serial       not null,
    uuid           varchar(255) not null,
    key            varchar(255) not null,
    value          text         not null,
    media_type_id  integer      not null,
    source_type_id integer      not null,
    constraint pk_label primary key (id),
    constraint fk_label_media_type_id_mediatype
        foreign key (media_type_id) references mediatype (id),
    constraint fk_label_source_type_id_labelsourcetype
        foreign key (source_type_id) references labelsourcetype (id)
);
create unique index label_uuid on label (uuid);
create index label_key on label (key);
create index label_media_type_id on label (media_type_id);
create index label_source_type_id on label (source_type_id);

create table manifestlabel (
    id            serial  not null,
    repository_id integer not null,
    manifest_id   integer not null,
    label_id      integer not null,
    constraint pk_manifestlabel primary key (id),
    constraint fk_manifestlabel_label_id_label
        foreign key (label_id) references label (id),
    constraint fk_manifestlabel_manifest_id_manifest
        foreign key (manifest_id) references manifest (id),
    constraint fk_manifestlabel_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index manifestlabel_manifest_id_label_id on manifestlabel (manifest_id, label_id);
create index manifestlabel_repository_id on manifestlabel (repository_id);
create index manifestlabel_manifest_id on manifestlabel (manifest_id);
create index manifestlabel_label_id on manifestlabel (label_id);

create table manifestsecuritystatus (
    id              serial       not null,
    manifest_id     integer      not null,
    repository_id   integer      not null,
    index_status    integer      not null,
    error_json      text         not null,
    last_indexed    timestamp    not null,
    indexer_hash    varchar(128) not null,
    indexer_version integer      not null,
    metadata_json   text         not null,
    constraint pk_manifestsecuritystatus primary key (id),
    constraint fk_manifestsecuritystatus_manifest_id_manifest
        foreign key (manifest_id) references manifest (id),
    constraint fk_manifestsecuritystatus_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index manifestsecuritystatus_manifest_id on manifestsecuritystatus (manifest_id);
create index manifestsecuritystatus_repository_id on manifestsecuritystatus (repository_id);
create index manifestsecuritystatus_index_status on manifestsecuritystatus (index_status);
create index manifestsecuritystatus_last_indexed on manifestsecuritystatus (last_indexed);
create index manifestsecuritystatus_indexer_hash on manifestsecuritystatus (indexer_hash);
create index manifestsecuritystatus_indexer_version on manifestsecuritystatus (indexer_version);

-- Counted by digest: rows may outlive their manifest.
create table manifestpullstatistics (
    id                      serial       not null,
    repository_id           integer      not null,
    manifest_digest         varchar(255) not null,
    manifest_pull_count     bigint       not null,
    last_manifest_pull_date timestamp    not null,
    constraint pk_manifestpullstatistics primary key (id),
    constraint fk_manifestpullstatistics_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index manifestpullstatistics_repository_id_manifest_digest
    on manifestpullstatistics (repository_id, manifest_digest);
