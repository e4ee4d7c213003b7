-- Builds of images from source, and what starts them.

create table buildtriggerservice (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_buildtriggerservice primary key (id)
);
create unique index buildtriggerservice_name on buildtriggerservice (name);
insert into buildtriggerservice (name) values ('github'), ('gitlab'), ('bitbucket'), ('custom-git');

create table disablereason (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_disablereason primary key (id)
);
create unique index disablereason_name on disablereason (name);
insert into disablereason (name) values
    ('user_toggled'),
    ('successive_build_failures'),
    ('successive_build_internal_errors');

create table repositorybuildtrigger (
    id                              serial       not null,
    uuid                            varchar(255) not null,
    service_id                      integer      not null,
    repository_id                   integer      not null,
    connected_user_id               integer      not null,
    config                          text         not null,
    write_token_id                  integer,
    pull_robot_id                   integer,
    disabled_reason_id              integer,
    enabled                         boolean      not null default true,
    successive_failure_count        integer      not null default 0,
    successive_internal_error_count integer      not null default 0,
    disabled_datetime               timestamp,
    secure_auth_token               varchar(255),
    secure_private_key              text,
    fully_migrated                  boolean      not null default false,
    constraint pk_repositorybuildtrigger primary key (id),
    constraint fk_repositorybuildtrigger_connected_user_id_user
        foreign key (connected_user_id) references "user" (id),
    constraint fk_repositorybuildtrigger_disabled_reason_id_disablereason
        foreign key (disabled_reason_id) references disablereason (id),
    constraint fk_repositorybuildtrigger_pull_robot_id_user
        foreign key (pull_robot_id) references "user" (id),
    constraint fk_repositorybuildtrigger_repository_id_repository
        foreign key (repository_id) references repository (id),
    constraint fk_repositorybuildtrigger_service_id_buildtriggerservice
        foreign key (service_id) references buildtriggerservice (id),
    constraint fk_repositorybuildtrigger_write_token_id_accesstoken
        foreign key (write_token_id) references accesstoken (id)
);
create index repositorybuildtrigger_uuid on repositorybuildtrigger (uuid);
create index repositorybuildtrigger_service_id on repositorybuildtrigger (service_id);
create index repositorybuildtrigger_repository_id on repositorybuildtrigger (repository_id);
create index repositorybuildtrigger_connected_user_id on repositorybuildtrigger (connected_user_id);
create index repositorybuildtrigger_write_token_id on repositorybuildtrigger (write_token_id);
create index repositorybuildtrigger_pull_robot_id on repositorybuildtrigger (pull_robot_id);
create index repositorybuildtrigger_disabled_reason_id
    on repositorybuildtrigger (disabled_reason_id);
create index repositorybuildtrigger_disabled_datetime on repositorybuildtrigger (disabled_datetime);

create table repositorybuild (
    id              serial       not null,
    uuid            varchar(255) not null,
    repository_id   integer      not null,
    access_token_id integer      not null,
    resource_key    varchar(255),
    job_config      text         not null,
    phase           varchar(255) not null,
    started         timestamp    not null,
    display_name    varchar(255) not null,
    trigger_id      integer,
    pull_robot_id   integer,
    logs_archived   boolean      not null default false,
    queue_id        varchar(255),
    constraint pk_repositorybuild primary key (id),
    constraint fk_repositorybuild_access_token_id_accesstoken
        foreign key (access_token_id) references accesstoken (id),
    constraint fk_repositorybuild_pull_robot_id_user
        foreign key (pull_robot_id) references "user" (id),
    constraint fk_repositorybuild_repository_id_repository
        foreign key (repository_id) references repository (id),
    constraint fk_repositorybuild_trigger_id_repositorybuildtrigger
        foreign key (trigger_id) references repositorybuildtrigger (id)
);
create index repositorybuild_uuid on repositorybuild (uuid);
create index repositorybuild_repository_id on repositorybuild (repository_id);
create index repositorybuild_repository_id_started_phase
    on repositorybuild (repository_id, started, phase);
create index repositorybuild_access_token_id on repositorybuild (access_token_id);
create index repositorybuild_resource_key on repositorybuild (resource_key);
create index repositorybuild_started on repositorybuild (started);
create index repositorybuild_started_logs_archived_phase
    on repositorybuild (started, logs_archived, phase);
create index repositorybuild_trigger_id on repositorybuild (trigger_id);
create index repositorybuild_pull_robot_id on repositorybuild (pull_robot_id);
create index repositorybuild_logs_archived on repositorybuild (logs_archived);
create index repositorybuild_queue_id on repositorybuild (queue_id);
