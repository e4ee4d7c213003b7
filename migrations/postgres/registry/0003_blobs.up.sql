-- Blobs: one row for the content, one for each place that holds a copy, and what keeps it alive.

-- The names that storage engines are configured under. A registry adds its own.
create table imagestoragelocation (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_imagestoragelocation primary key (id)
);
create unique index imagestoragelocation_name on imagestoragelocation (name);
insert into imagestoragelocation (name) values
    ('s3_us_east_1'),
    ('s3_eu_west_1'),
    ('s3_ap_southeast_1'),
    ('s3_ap_southeast_2'),
    ('s3_ap_northeast_1'),
    ('s3_sa_east_1'),
    ('local'),
    ('s3_us_west_1');

create table imagestoragetransformation (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_imagestoragetransformation primary key (id)
);
create unique index imagestoragetransformation_name on imagestoragetransformation (name);
insert into imagestoragetransformation (name) values ('squash'), ('aci');

create table imagestoragesignaturekind (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_imagestoragesignaturekind primary key (id)
);
create unique index imagestoragesignaturekind_name on imagestoragesignaturekind (name);
insert into imagestoragesignaturekind (name) values ('gpg2');

-- A blob. Its digest is `content_checksum`, which is not unique: two rows may hold the same content.
-- `cas_path` tells whether the object lies under its digest or, as it used to, under the uuid.
create table imagestorage (
    id                serial       not null,
    uuid              varchar(255) not null,
    image_size        bigint,
    uncompressed_size bigint,
    uploading         boolean,
    cas_path          boolean      not null default false,
    content_checksum  varchar(255),
    constraint pk_imagestorage primary key (id)
);
create unique index imagestorage_uuid on imagestorage (uuid);
create index imagestorage_content_checksum on imagestorage (content_checksum);

create table imagestorageplacement (
    id          serial  not null,
    storage_id  integer not null,
    location_id integer not null,
    constraint pk_imagestorageplacement primary key (id),
    constraint fk_imagestorageplacement_location_id_imagestoragelocation
        foreign key (location_id) references imagestoragelocation (id),
    constraint fk_imagestorageplacement_storage_id_imagestorage
        foreign key (storage_id) references imagestorage (id)
);
create unique index imagestorageplacement_storage_id_location_id
    on imagestorageplacement (storage_id, location_id);
create index imagestorageplacement_storage_id on imagestorageplacement (storage_id);
create index imagestorageplacement_location_id on imagestorageplacement (location_id);

create table imagestoragesignature (
    id         serial  not null,
    storage_id integer not null,
    kind_id    integer not null,
    signature  text,
    uploading  boolean,
    constraint pk_imagestoragesignature primary key (id),
    constraint fk_imagestoragesignature_kind_id_imagestoragesignaturekind
        foreign key (kind_id) references imagestoragesignaturekind (id),
    constraint fk_imagestoragesignature_storage_id_imagestorage
        foreign key (storage_id) references imagestorage (id)
);
create unique index imagestoragesignature_kind_id_storage_id
    on imagestoragesignature (kind_id, storage_id);
create index imagestoragesignature_storage_id on imagestoragesignature (storage_id);
create index imagestoragesignature_kind_id on imagestoragesignature (kind_id);

-- Protects a blob from collection until `expires_at`, while its manifest is being pushed.
create table uploadedblob (
    id            bigserial not null,
    repository_id integer   not null,
    blob_id       integer   not null,
    uploaded_at   timestamp not null,
    expires_at    timestamp not null,
    constraint pk_uploadedblob primary key (id),
    constraint fk_uploadedblob_blob_id_imagestorage
        foreign key (blob_id) references imagestorage (id),
    constraint fk_uploadedblob_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create index uploadedblob_repository_id on uploadedblob (repository_id);
create index uploadedblob_blob_id on uploadedblob (blob_id);
create index uploadedblob_expires_at on uploadedblob (expires_at);

-- Uploads in progress. (A Quay database has the moment of its own migration as the default of
-- `created`; its writers never leave the column out, and a row's own time is what it means.)
create table blobupload (
    id                      serial       not null,
    repository_id           integer      not null,
    uuid                    varchar(255) not null,
    byte_count              bigint       not null,
    sha_state               text,
    location_id             integer      not null,
    storage_metadata        text,
    chunk_count             integer      not null default 0,
    uncompressed_byte_count bigint,
    created                 timestamp    not null default (now() at time zone 'utc'),
    piece_sha_state         text,
    piece_hashes            text,
    constraint pk_blobupload primary key (id),
    constraint fk_blobupload_location_id_imagestoragelocation
        foreign key (location_id) references imagestoragelocation (id),
    constraint fk_blobupload_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index blobupload_repository_id_uuid on blobupload (repository_id, uuid);
create unique index blobupload_uuid on blobupload (uuid);
create index blobupload_repository_id on blobupload (repository_id);
create index blobupload_location_id on blobupload (location_id);
create index blobupload_created on blobupload (created);

-- Where a namespace wants its blobs.
create table userregion (
    id          serial  not null,
    user_id     integer not null,
    location_id integer not null,
    constraint pk_userregion primary key (id),
    constraint fk_userregion_location_id_imagestoragelocation
        foreign key (location_id) references imagestoragelocation (id),
    constraint fk_userregion_user_id_user
        foreign key (user_id) references "user" (id)
);
create index userregion_user_id on userregion (user_id);
create index userregion_location_id on userregion (location_id);
