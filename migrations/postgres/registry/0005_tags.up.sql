-- Tags. A moved or deleted tag is a row with an end; it stays as long as it can be restored.

create table tagkind (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_tagkind primary key (id)
);
create unique index tagkind_name on tagkind (name);
insert into tagkind (name) values ('tag');

-- Times are milliseconds since 1970. No end: the tag is alive.
-- The unique index leaves two living tags of one name possible, for their ends are null.
create table tag (
    id                serial       not null,
    name              varchar(255) not null,
    repository_id     integer      not null,
    manifest_id       integer,
    lifetime_start_ms bigint       not null,
    lifetime_end_ms   bigint,
    hidden            boolean      not null default false,
    reversion         boolean      not null default false,
    tag_kind_id       integer      not null,
    linked_tag_id     integer,
    immutable         boolean      not null default false,
    constraint pk_tag primary key (id),
    constraint fk_tag_linked_tag_id_tag
        foreign key (linked_tag_id) references tag (id),
    constraint fk_tag_manifest_id_manifest
        foreign key (manifest_id) references manifest (id),
    constraint fk_tag_repository_id_repository
        foreign key (repository_id) references repository (id),
    constraint fk_tag_tag_kind_id_tagkind
        foreign key (tag_kind_id) references tagkind (id)
);
create unique index tag_repository_id_name_lifetime_end_ms
    on tag (repository_id, name, lifetime_end_ms);
create index tag_repository_id on tag (repository_id);
create index tag_repository_id_name on tag (repository_id, name);
create index tag_repository_id_name_hidden on tag (repository_id, name, hidden);
create index tag_repository_id_name_tag_kind_id on tag (repository_id, name, tag_kind_id);
create index tag_repository_id_lifetime_start_ms on tag (repository_id, lifetime_start_ms);
create index tag_repository_id_lifetime_end_ms on tag (repository_id, lifetime_end_ms);
create index tag_repository_id_immutable on tag (repository_id, immutable);
create index tag_manifest_id on tag (manifest_id);
create index tag_manifest_id_lifetime_end_ms on tag (manifest_id, lifetime_end_ms);
create index tag_manifest_id_immutable on tag (manifest_id, immutable);
create index tag_lifetime_end_ms on tag (lifetime_end_ms);
create index tag_tag_kind_id on tag (tag_kind_id);
create index tag_linked_tag_id on tag (linked_tag_id);

-- Counted by name: rows may outlive their tag.
create table tagpullstatistics (
    id                      serial       not null,
    repository_id           integer      not null,
    tag_name                varchar(255) not null,
    tag_pull_count          bigint       not null,
    last_tag_pull_date      timestamp    not null,
    current_manifest_digest varchar(255),
    constraint pk_tagpullstatistics primary key (id),
    constraint fk_tagpullstatistics_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index tagpullstatistics_repository_id_tag_name
    on tagpullstatistics (repository_id, tag_name);
