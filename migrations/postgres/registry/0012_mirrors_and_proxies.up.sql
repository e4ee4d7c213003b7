-- Repositories and organizations that follow another registry, and caches of one.

-- A tree of conditions on tag names.
create table repomirrorrule (
    id             serial      not null,
    uuid           varchar(36) not null,
    repository_id  integer     not null,
    creation_date  timestamp   not null,
    rule_type      integer     not null,
    rule_value     text        not null,
    left_child_id  integer,
    right_child_id integer,
    constraint pk_repomirrorrule primary key (id),
    constraint fk_repomirrorrule_left_child_id_repomirrorrule
        foreign key (left_child_id) references repomirrorrule (id),
    constraint fk_repomirrorrule_repository_id_repository
        foreign key (repository_id) references repository (id),
    constraint fk_repomirrorrule_right_child_id_repomirrorrule
        foreign key (right_child_id) references repomirrorrule (id)
);
create unique index repomirrorrule_uuid on repomirrorrule (uuid);
create index repomirrorrule_repository_id on repomirrorrule (repository_id);
create index repomirrorrule_rule_type on repomirrorrule (rule_type);
create index repomirrorrule_left_child_id on repomirrorrule (left_child_id);
create index repomirrorrule_right_child_id on repomirrorrule (right_child_id);

-- `sync_status`: -2 cancelled, -1 failed, 0 never run, 1 succeeded, 2 running, 3 wanted now.
create table repomirrorconfig (
    id                         serial        not null,
    repository_id              integer       not null,
    creation_date              timestamp     not null,
    is_enabled                 boolean       not null,
    mirror_type                integer       not null,
    internal_robot_id          integer       not null,
    external_registry_username varchar(4096),
    external_registry_config   text          not null,
    sync_interval              integer       not null default 60,
    sync_start_date            timestamp,
    sync_expiration_date       timestamp,
    sync_retries_remaining     integer       not null default 3,
    sync_status                integer       not null,
    sync_transaction_id        varchar(36),
    root_rule_id               integer       not null,
    external_reference         text          not null,
    external_registry_password varchar(9000),
    skopeo_timeout             bigint        not null default '300',
    architecture_filter        text,
    constraint pk_repomirrorconfig primary key (id),
    constraint fk_repomirrorconfig_internal_robot_id_user
        foreign key (internal_robot_id) references "user" (id),
    constraint fk_repomirrorconfig_repository_id_repository
        foreign key (repository_id) references repository (id),
    constraint fk_repomirrorconfig_root_rule_id_repomirrorrule
        foreign key (root_rule_id) references repomirrorrule (id)
);
create unique index repomirrorconfig_repository_id on repomirrorconfig (repository_id);
create index repomirrorconfig_mirror_type on repomirrorconfig (mirror_type);
create index repomirrorconfig_internal_robot_id on repomirrorconfig (internal_robot_id);
create index repomirrorconfig_sync_status on repomirrorconfig (sync_status);
create index repomirrorconfig_sync_transaction_id on repomirrorconfig (sync_transaction_id);
create index repomirrorconfig_root_rule_id on repomirrorconfig (root_rule_id);

create table orgmirrorconfig (
    id                         serial        not null,
    organization_id            integer       not null,
    creation_date              timestamp     not null,
    is_enabled                 boolean       not null default true,
    mirror_type                integer       not null default 1,
    external_registry_type     integer       not null,
    external_registry_url      varchar(2048) not null,
    external_namespace         varchar(255)  not null,
    external_registry_username varchar(4096),
    external_registry_password varchar(9000),
    external_registry_config   text          not null,
    internal_robot_id          integer       not null,
    repository_filters         text          not null,
    visibility_id              integer       not null,
    delete_stale_repos         boolean       not null default false,
    sync_interval              integer       not null,
    sync_start_date            timestamp,
    sync_expiration_date       timestamp,
    sync_retries_remaining     integer       not null default 3,
    sync_status                integer       not null default 0,
    sync_transaction_id        varchar(36),
    skopeo_timeout             bigint        not null default '300',
    architecture_filter        text          not null default '[]',
    constraint pk_orgmirrorconfig primary key (id),
    constraint fk_orgmirrorconfig_internal_robot_id_user
        foreign key (internal_robot_id) references "user" (id),
    constraint fk_orgmirrorconfig_organization_id_user
        foreign key (organization_id) references "user" (id),
    constraint fk_orgmirrorconfig_visibility_id_visibility
        foreign key (visibility_id) references visibility (id)
);
create unique index orgmirrorconfig_organization_id on orgmirrorconfig (organization_id);
create index orgmirrorconfig_internal_robot_id on orgmirrorconfig (internal_robot_id);
create index orgmirrorconfig_sync_start_date on orgmirrorconfig (sync_start_date);
create index orgmirrorconfig_sync_status on orgmirrorconfig (sync_status);

create table orgmirrorrepository (
    id                     serial       not null,
    org_mirror_config_id   integer      not null,
    repository_name        varchar(255) not null,
    repository_id          integer,
    discovery_date         timestamp    not null,
    sync_status            integer      not null default 0,
    sync_start_date        timestamp,
    sync_expiration_date   timestamp,
    last_sync_date         timestamp,
    status_message         text,
    creation_date          timestamp    not null,
    sync_retries_remaining integer      not null default 3,
    sync_transaction_id    varchar(36),
    constraint pk_orgmirrorrepository primary key (id),
    constraint fk_orgmirrorrepository_org_mirror_config_id_orgmirrorconfig
        foreign key (org_mirror_config_id) references orgmirrorconfig (id),
    constraint fk_orgmirrorrepository_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index orgmirrorrepository_config_repo_name
    on orgmirrorrepository (org_mirror_config_id, repository_name);
create index orgmirrorrepository_org_mirror_config_id on orgmirrorrepository (org_mirror_config_id);
create index orgmirrorrepository_config_status
    on orgmirrorrepository (org_mirror_config_id, sync_status);
create index orgmirrorrepository_repository_id on orgmirrorrepository (repository_id);
create index orgmirrorrepository_sync_status on orgmirrorrepository (sync_status);

create table proxycacheconfig (
    id                         serial        not null,
    organization_id            integer       not null,
    creation_date              timestamp     not null,
    upstream_registry          varchar(2048) not null,
    upstream_registry_username varchar(4096),
    upstream_registry_password varchar(4096),
    expiration_s               integer                default 86400,
    insecure                   boolean       not null default false,
    constraint pk_proxy_cache_config primary key (id),
    constraint fk_proxy_cache_config_organization_id
        foreign key (organization_id) references "user" (id)
);
