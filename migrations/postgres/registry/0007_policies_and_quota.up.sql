-- Rules on tags, limits on size, and the sizes counted so far.

create table namespaceautoprunepolicy (
    id           serial      not null,
    uuid         varchar(36) not null,
    namespace_id integer     not null,
    policy       text        not null,
    constraint pk_namespaceautoprunepolicyid primary key (id),
    constraint fk_namespaceautoprunepolicy_namespace_id_user
        foreign key (namespace_id) references "user" (id)
);
create unique index namespaceautoprunepolicy_uuid on namespaceautoprunepolicy (uuid);
create index namespaceautoprunepolicy_namespace_id on namespaceautoprunepolicy (namespace_id);

create table repositoryautoprunepolicy (
    id            serial      not null,
    uuid          varchar(36) not null,
    repository_id integer     not null,
    namespace_id  integer     not null,
    policy        text        not null,
    constraint pk_repositoryautoprunepolicyid primary key (id),
    constraint fk_repositoryautoprunepolicy_namespace_id_user
        foreign key (namespace_id) references "user" (id),
    constraint fk_repositoryautoprunepolicy_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index repositoryautoprunepolicy_uuid on repositoryautoprunepolicy (uuid);
create index repositoryautoprunepolicy_repository_id on repositoryautoprunepolicy (repository_id);
create index repositoryautoprunepolicy_namespace_id on repositoryautoprunepolicy (namespace_id);

-- Whose turn it is: the namespace that was pruned longest ago, null first.
create table autoprunetaskstatus (
    id           serial  not null,
    namespace_id integer not null,
    last_ran_ms  bigint,
    status       text,
    constraint pk_autoprunetaskstatusid primary key (id),
    constraint fk_autoprunetaskstatus_namespace_id_user
        foreign key (namespace_id) references "user" (id)
);
create unique index autoprunetaskstatus_namespace_id on autoprunetaskstatus (namespace_id);
create index autoprunetaskstatus_last_ran_ms on autoprunetaskstatus (last_ran_ms);

create table namespaceimmutabilitypolicy (
    id           serial      not null,
    uuid         varchar(36) not null,
    namespace_id integer     not null,
    policy       text        not null,
    constraint pk_namespaceimmutabilitypolicyid primary key (id),
    constraint fk_namespaceimmutabilitypolicy_namespace_id_user
        foreign key (namespace_id) references "user" (id)
);
create unique index namespaceimmutabilitypolicy_uuid on namespaceimmutabilitypolicy (uuid);
create index namespaceimmutabilitypolicy_namespace_id on namespaceimmutabilitypolicy (namespace_id);

create table repositoryimmutabilitypolicy (
    id            serial      not null,
    uuid          varchar(36) not null,
    repository_id integer     not null,
    namespace_id  integer     not null,
    policy        text        not null,
    constraint pk_repositoryimmutabilitypolicyid primary key (id),
    constraint fk_repositoryimmutabilitypolicy_namespace_id_user
        foreign key (namespace_id) references "user" (id),
    constraint fk_repositoryimmutabilitypolicy_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index repositoryimmutabilitypolicy_uuid on repositoryimmutabilitypolicy (uuid);
create index repositoryimmutabilitypolicy_repository_id
    on repositoryimmutabilitypolicy (repository_id);
create index repositoryimmutabilitypolicy_namespace_id
    on repositoryimmutabilitypolicy (namespace_id);

create table userorganizationquota (
    id           serial  not null,
    namespace_id integer not null,
    limit_bytes  bigint  not null,
    constraint pk_userorganizationquota primary key (id),
    constraint fk_userorganizationquota_organization
        foreign key (namespace_id) references "user" (id)
);
create unique index userorganizationquota_organization on userorganizationquota (namespace_id);

create table quotatype (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_quotatype primary key (id)
);
insert into quotatype (name) values ('Warning'), ('Reject');

create table quotalimits (
    id               serial  not null,
    quota_id         integer not null,
    quota_type_id    integer not null,
    percent_of_limit integer not null,
    constraint pk_quotalimits primary key (id),
    constraint fk_quotalimit_id
        foreign key (quota_id) references userorganizationquota (id),
    constraint fk_quotalimit_type
        foreign key (quota_type_id) references quotatype (id)
);
create index quotalimits_quota_id on quotalimits (quota_id);

-- A size counts only when its backfill is complete; until then it is zero or too small.
create table quotanamespacesize (
    id                serial  not null,
    namespace_user_id integer not null,
    size_bytes        bigint  not null default '0',
    backfill_start_ms bigint,
    backfill_complete boolean not null default false,
    constraint pk_quotanamespacesizeid primary key (id),
    constraint fk_quotanamespacesize_namespace_user_id_user
        foreign key (namespace_user_id) references "user" (id)
);
create unique index quotanamespacesize_namespace_user_id on quotanamespacesize (namespace_user_id);
create index quotanamespacesize_size_bytes on quotanamespacesize (size_bytes);
create index quotanamespacesize_backfill_start_ms on quotanamespacesize (backfill_start_ms);

create table quotarepositorysize (
    id                serial  not null,
    repository_id     integer not null,
    size_bytes        bigint  not null default '0',
    backfill_start_ms bigint,
    backfill_complete boolean not null default false,
    constraint pk_quotarepositorysizeid primary key (id),
    constraint fk_quotarepositorysize_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index quotarepositorysize_repository_id on quotarepositorysize (repository_id);
create index quotarepositorysize_size_bytes on quotarepositorysize (size_bytes);

create table quotaregistrysize (
    id           serial  not null,
    size_bytes   bigint  not null default '0',
    running      boolean not null default false,
    queued       boolean not null default false,
    completed_ms bigint,
    constraint pk_quotaregistrysizeid primary key (id)
);

create table quotanotificationstate (
    id                serial    not null,
    namespace_id      integer   not null,
    threshold_percent integer   not null,
    last_notified_at  timestamp,
    cleared           boolean   not null default true,
    constraint pk_quotanotificationstate primary key (id),
    constraint fk_quotanotificationstate_namespace_id
        foreign key (namespace_id) references "user" (id)
);
create unique index quotanotificationstate_namespace_threshold
    on quotanotificationstate (namespace_id, threshold_percent);
create index quotanotificationstate_namespace_id on quotanotificationstate (namespace_id);
