-- The packages of repositories of kind `application`: no longer written, still part of the schema.

create table apprblobplacementlocation (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_apprblobplacementlocation primary key (id)
);
create unique index apprblobplacementlocation_name on apprblobplacementlocation (name);
insert into apprblobplacementlocation (name) values ('local_eu'), ('local_us');

create table apprblob (
    id                serial       not null,
    digest            varchar(255) not null,
    media_type_id     integer      not null,
    size              bigint       not null,
    uncompressed_size bigint,
    constraint pk_apprblob primary key (id),
    constraint fk_apprblob_media_type_id_mediatype
        foreign key (media_type_id) references mediatype (id)
);
create unique index apprblob_digest on apprblob (digest);
create index apprblob_media_type_id on apprblob (media_type_id);

create table apprblobplacement (
    id          serial  not null,
    blob_id     integer not null,
    location_id integer not null,
    constraint pk_apprblobplacement primary key (id),
    constraint fk_apprblobplacement_blob_id_apprblob
        foreign key (blob_id) references apprblob (id),
    constraint fk_apprblobplacement_location_id_apprblobplacementlocation
        foreign key (location_id) references apprblobplacementlocation (id)
);
create unique index apprblobplacement_blob_id_location_id
    on apprblobplacement (blob_id, location_id);
create index apprblobplacement_blob_id on apprblobplacement (blob_id);
create index apprblobplacement_location_id on apprblobplacement (location_id);

create table apprmanifest (
    id            serial       not null,
    digest        varchar(255) not null,
    media_type_id integer      not null,
    manifest_json text         not null,
    constraint pk_apprmanifest primary key (id),
    constraint fk_apprmanifest_media_type_id_mediatype
        foreign key (media_type_id) references mediatype (id)
);
create unique index apprmanifest_digest on apprmanifest (digest);
create index apprmanifest_media_type_id on apprmanifest (media_type_id);

create table apprmanifestblob (
    id          serial  not null,
    manifest_id integer not null,
    blob_id     integer not null,
    constraint pk_apprmanifestblob primary key (id),
    constraint fk_apprmanifestblob_blob_id_apprblob
        foreign key (blob_id) references apprblob (id),
    constraint fk_apprmanifestblob_manifest_id_apprmanifest
        foreign key (manifest_id) references apprmanifest (id)
);
create unique index apprmanifestblob_manifest_id_blob_id on apprmanifestblob (manifest_id, blob_id);
create index apprmanifestblob_manifest_id on apprmanifestblob (manifest_id);
create index apprmanifestblob_blob_id on apprmanifestblob (blob_id);

create table apprmanifestlist (
    id                 serial       not null,
    digest             varchar(255) not null,
    manifest_list_json text         not null,
    schema_version     varchar(255) not null,
    media_type_id      integer      not null,
    constraint pk_apprmanifestlist primary key (id),
    constraint fk_apprmanifestlist_media_type_id_mediatype
        foreign key (media_type_id) references mediatype (id)
);
create unique index apprmanifestlist_digest on apprmanifestlist (digest);
create index apprmanifestlist_media_type_id on apprmanifestlist (media_type_id);

create table apprmanifestlistmanifest (
    id               serial       not null,
    manifest_list_id integer      not null,
    manifest_id      integer      not null,
    operating_system varchar(255),
    architecture     varchar(255),
    platform_json    text,
    media_type_id    integer      not null,
    constraint pk_apprmanifestlistmanifest primary key (id),
    constraint fk_apprmanifestlistmanifest_manifest_id_apprmanifest
        foreign key (manifest_id) references apprmanifest (id),
    constraint fk_apprmanifestlistmanifest_manifest_list_id_apprmanifestlist
        foreign key (manifest_list_id) references apprmanifestlist (id),
    constraint fk_apprmanifestlistmanifest_media_type_id_mediatype
        foreign key (media_type_id) references mediatype (id)
);
create index apprmanifestlistmanifest_manifest_list_id
    on apprmanifestlistmanifest (manifest_list_id);
create index apprmanifestlistmanifest_manifest_list_id_operating_system_arch
    on apprmanifestlistmanifest (manifest_list_id, operating_system, architecture, media_type_id);
create index apprmanifestlistmanifest_manifest_list_id_media_type_id
    on apprmanifestlistmanifest (manifest_list_id, media_type_id);
create index apprmanifestlistmanifest_manifest_id on apprmanifestlistmanifest (manifest_id);
create index apprmanifestlistmanifest_media_type_id on apprmanifestlistmanifest (media_type_id);

create table apprtagkind (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_apprtagkind primary key (id)
);
create unique index apprtagkind_name on apprtagkind (name);
insert into apprtagkind (name) values ('tag'), ('release'), ('channel');

create table apprtag (
    id               serial       not null,
    name             varchar(255) not null,
    repository_id    integer      not null,
    manifest_list_id integer,
    lifetime_start   bigint       not null,
    lifetime_end     bigint,
    hidden           boolean      not null,
    reverted         boolean      not null,
    protected        boolean      not null,
    tag_kind_id      integer      not null,
    linked_tag_id    integer,
    constraint pk_apprtag primary key (id),
    constraint fk_apprtag_linked_tag_id_apprtag
        foreign key (linked_tag_id) references apprtag (id),
    constraint fk_apprtag_manifest_list_id_apprmanifestlist
        foreign key (manifest_list_id) references apprmanifestlist (id),
    constraint fk_apprtag_repository_id_repository
        foreign key (repository_id) references repository (id),
    constraint fk_apprtag_tag_kind_id_apprtagkind
        foreign key (tag_kind_id) references apprtagkind (id)
);
create unique index apprtag_repository_id_name_lifetime_end
    on apprtag (repository_id, name, lifetime_end);
create index apprtag_repository_id on apprtag (repository_id);
create index apprtag_repository_id_name on apprtag (repository_id, name);
create index apprtag_repository_id_name_hidden on apprtag (repository_id, name, hidden);
create index apprtag_manifest_list_id on apprtag (manifest_list_id);
create index apprtag_lifetime_end on apprtag (lifetime_end);
create index apprtag_tag_kind_id on apprtag (tag_kind_id);
create index apprtag_linked_tag_id on apprtag (linked_tag_id);
