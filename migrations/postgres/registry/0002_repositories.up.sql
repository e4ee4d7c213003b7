-- What is stored under which name, and who may do what with it.

-- The search of repositories by part of their name or description.
create extension if not exists pg_trgm;

create table visibility (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_visibility primary key (id)
);
create unique index visibility_name on visibility (name);
insert into visibility (name) values ('public'), ('private');

create table repositorykind (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_repositorykind primary key (id)
);
create unique index repositorykind_name on repositorykind (name);
insert into repositorykind (name) values ('image'), ('application');

-- `state`: 0 normal, 1 read-only, 2 mirror, 3 marked for deletion, 4 mirror of an organization.
create table repository (
    id                serial       not null,
    namespace_user_id integer,
    name              varchar(255) not null,
    visibility_id     integer      not null,
    description       text,
    badge_token       varchar(255) not null,
    kind_id           integer      not null default 1,
    trust_enabled     boolean      not null default false,
    state             integer      not null default 0,
    constraint pk_repository primary key (id),
    constraint fk_repository_kind_id_repositorykind
        foreign key (kind_id) references repositorykind (id),
    constraint fk_repository_namespace_user_id_user
        foreign key (namespace_user_id) references "user" (id),
    constraint fk_repository_visibility_id_visibility
        foreign key (visibility_id) references visibility (id)
);
create unique index repository_namespace_user_id_name on repository (namespace_user_id, name);
create index repository_namespace_user_id on repository (namespace_user_id);
create index repository_name__fulltext on repository using gin (name gin_trgm_ops);
create index repository_visibility_id on repository (visibility_id);
create index repository_description__fulltext on repository using gin (description gin_trgm_ops);
create index repository_kind_id on repository (kind_id);
create index repository_state on repository (state);

create table role (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_role primary key (id)
);
create unique index role_name on role (name);
insert into role (name) values ('admin'), ('write'), ('read');

-- A grant to a team or to a user, never to both.
create table repositorypermission (
    id            serial  not null,
    team_id       integer,
    user_id       integer,
    repository_id integer not null,
    role_id       integer not null,
    constraint pk_repositorypermission primary key (id),
    constraint fk_repositorypermission_repository_id_repository
        foreign key (repository_id) references repository (id),
    constraint fk_repositorypermission_role_id_role
        foreign key (role_id) references role (id),
    constraint fk_repositorypermission_team_id_team
        foreign key (team_id) references team (id),
    constraint fk_repositorypermission_user_id_user
        foreign key (user_id) references "user" (id)
);
create unique index repositorypermission_team_id_repository_id
    on repositorypermission (team_id, repository_id);
create unique index repositorypermission_user_id_repository_id
    on repositorypermission (user_id, repository_id);
create index repositorypermission_team_id on repositorypermission (team_id);
create index repositorypermission_user_id on repositorypermission (user_id);
create index repositorypermission_repository_id on repositorypermission (repository_id);
create index repositorypermission_role_id on repositorypermission (role_id);

-- Grants that a new repository of an organization starts with.
create table permissionprototype (
    id                 serial       not null,
    org_id             integer      not null,
    uuid               varchar(255) not null,
    activating_user_id integer,
    delegate_user_id   integer,
    delegate_team_id   integer,
    role_id            integer      not null,
    constraint pk_permissionprototype primary key (id),
    constraint fk_permissionprototype_activating_user_id_user
        foreign key (activating_user_id) references "user" (id),
    constraint fk_permissionprototype_delegate_team_id_team
        foreign key (delegate_team_id) references team (id),
    constraint fk_permissionprototype_delegate_user_id_user
        foreign key (delegate_user_id) references "user" (id),
    constraint fk_permissionprototype_org_id_user
        foreign key (org_id) references "user" (id),
    constraint fk_permissionprototype_role_id_role
        foreign key (role_id) references role (id)
);
create index permissionprototype_org_id on permissionprototype (org_id);
create index permissionprototype_org_id_activating_user_id
    on permissionprototype (org_id, activating_user_id);
create index permissionprototype_uuid on permissionprototype (uuid);
create index permissionprototype_activating_user_id on permissionprototype (activating_user_id);
create index permissionprototype_delegate_user_id on permissionprototype (delegate_user_id);
create index permissionprototype_delegate_team_id on permissionprototype (delegate_team_id);
create index permissionprototype_role_id on permissionprototype (role_id);

-- Repositories marked for deletion; the row in `repository` carries a random name until it goes.
create table deletedrepository (
    id            serial       not null,
    repository_id integer      not null,
    marked        timestamp    not null,
    original_name varchar(255) not null,
    queue_id      varchar(255),
    constraint pk_deletedrepository primary key (id),
    constraint fk_deletedrepository_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index deletedrepository_repository_id on deletedrepository (repository_id);
create index deletedrepository_original_name on deletedrepository (original_name);
create index deletedrepository_queue_id on deletedrepository (queue_id);

create table star (
    id            serial    not null,
    user_id       integer   not null,
    repository_id integer   not null,
    created       timestamp not null,
    constraint pk_star primary key (id),
    constraint fk_star_repository_id_repository
        foreign key (repository_id) references repository (id),
    constraint fk_star_user_id_user
        foreign key (user_id) references "user" (id)
);
create unique index star_user_id_repository_id on star (user_id, repository_id);
create index star_user_id on star (user_id);
create index star_repository_id on star (repository_id);

-- Pulls and pushes a day.
create table repositoryactioncount (
    id            serial  not null,
    repository_id integer not null,
    count         integer not null,
    date          date    not null,
    constraint pk_repositoryactioncount primary key (id),
    constraint fk_repositoryactioncount_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index repositoryactioncount_repository_id_date
    on repositoryactioncount (repository_id, date);
create index repositoryactioncount_repository_id on repositoryactioncount (repository_id);
create index repositoryactioncount_date on repositoryactioncount (date);

create table repositorysearchscore (
    id            serial    not null,
    repository_id integer   not null,
    score         bigint    not null,
    last_updated  timestamp,
    constraint pk_repositorysearchscore primary key (id),
    constraint fk_repositorysearchscore_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index repositorysearchscore_repository_id on repositorysearchscore (repository_id);
create index repositorysearchscore_score on repositorysearchscore (score);

create table repositoryauthorizedemail (
    id            serial       not null,
    repository_id integer      not null,
    email         varchar(255) not null,
    code          varchar(255) not null,
    confirmed     boolean      not null,
    constraint pk_repositoryauthorizedemail primary key (id),
    constraint fk_repositoryauthorizedemail_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create unique index repositoryauthorizedemail_email_repository_id
    on repositoryauthorizedemail (email, repository_id);
create unique index repositoryauthorizedemail_code on repositoryauthorizedemail (code);
create index repositoryauthorizedemail_repository_id on repositoryauthorizedemail (repository_id);
