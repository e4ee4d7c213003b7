-- What is told to whom: in the web interface, by mail and by calls to other systems.

create table notificationkind (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_notificationkind primary key (id)
);
create unique index notificationkind_name on notificationkind (name);
insert into notificationkind (name) values
    ('build_failure'),
    ('build_queued'),
    ('build_start'),
    ('build_success'),
    ('expiring_license'),
    ('maintenance'),
    ('org_team_invite'),
    ('over_private_usage'),
    ('password_required'),
    ('repo_push'),
    ('service_key_submitted'),
    ('vulnerability_found'),
    ('build_cancelled'),
    ('repo_mirror_sync_started'),
    ('repo_mirror_sync_success'),
    ('repo_mirror_sync_failed'),
    ('quota_warning'),
    ('quota_error'),
    ('assigned_authorization');

-- Shown to a user in the web interface.
create table notification (
    id            serial       not null,
    uuid          varchar(255) not null,
    kind_id       integer      not null,
    target_id     integer      not null,
    metadata_json text         not null,
    created       timestamp    not null,
    dismissed     boolean      not null,
    lookup_path   varchar(255),
    constraint pk_notification primary key (id),
    constraint fk_notification_kind_id_notificationkind
        foreign key (kind_id) references notificationkind (id),
    constraint fk_notification_target_id_user
        foreign key (target_id) references "user" (id)
);
create index notification_uuid on notification (uuid);
create index notification_kind_id on notification (kind_id);
create index notification_target_id on notification (target_id);
create index notification_created on notification (created);
create index notification_lookup_path on notification (lookup_path);

create table externalnotificationevent (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_externalnotificationevent primary key (id)
);
create unique index externalnotificationevent_name on externalnotificationevent (name);
insert into externalnotificationevent (name) values
    ('build_failure'),
    ('build_queued'),
    ('build_start'),
    ('build_success'),
    ('repo_push'),
    ('vulnerability_found'),
    ('build_cancelled'),
    ('repo_mirror_sync_started'),
    ('repo_mirror_sync_success'),
    ('repo_mirror_sync_failed'),
    ('repo_image_expiry'),
    ('quota_warning'),
    ('quota_error');

create table externalnotificationmethod (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_externalnotificationmethod primary key (id)
);
create unique index externalnotificationmethod_name on externalnotificationmethod (name);
insert into externalnotificationmethod (name) values
    ('email'),
    ('flowdock'),
    ('hipchat'),
    ('quay_notification'),
    ('slack'),
    ('webhook');

create table repositorynotification (
    id                 serial       not null,
    uuid               varchar(255) not null,
    repository_id      integer      not null,
    event_id           integer      not null,
    method_id          integer      not null,
    title              varchar(255),
    config_json        text         not null,
    event_config_json  text         not null,
    number_of_failures integer      not null default 0,
    last_ran_ms        bigint,
    constraint pk_repositorynotification primary key (id),
    constraint fk_repositorynotification_event_id_externalnotificationevent
        foreign key (event_id) references externalnotificationevent (id),
    constraint fk_repositorynotification_method_id_externalnotificationmethod
        foreign key (method_id) references externalnotificationmethod (id),
    constraint fk_repositorynotification_repository_id_repository
        foreign key (repository_id) references repository (id)
);
create index repositorynotification_uuid on repositorynotification (uuid);
create index repositorynotification_repository_id on repositorynotification (repository_id);
create index repositorynotification_event_id on repositorynotification (event_id);
create index repositorynotification_method_id on repositorynotification (method_id);
create index repositorynotification_last_ran_ms on repositorynotification (last_ran_ms);

create table namespacenotification (
    id                 serial       not null,
    uuid               varchar(255) not null,
    namespace_id       integer      not null,
    event_id           integer      not null,
    method_id          integer      not null,
    title              varchar(255),
    config_json        text         not null,
    event_config_json  text         not null default '{}',
    number_of_failures integer      not null default 0,
    last_ran_ms        bigint,
    constraint pk_namespacenotification primary key (id),
    constraint fk_namespacenotification_event_id
        foreign key (event_id) references externalnotificationevent (id),
    constraint fk_namespacenotification_method_id
        foreign key (method_id) references externalnotificationmethod (id),
    constraint fk_namespacenotification_namespace_id
        foreign key (namespace_id) references "user" (id)
);
create index namespacenotification_uuid on namespacenotification (uuid);
create index namespacenotification_namespace_id on namespacenotification (namespace_id);

-- The expiry of this tag was told by this notification already.
create table tagnotificationsuccess (
    id              serial  not null,
    notification_id integer not null,
    tag_id          integer not null,
    method_id       integer not null,
    constraint pk_tag_notification_success primary key (id),
    constraint fk_tag_notification_success_method_id
        foreign key (method_id) references externalnotificationmethod (id),
    constraint fk_tag_notification_success_notification_id
        foreign key (notification_id) references repositorynotification (id),
    constraint fk_tag_notification_success_tag_id
        foreign key (tag_id) references tag (id)
);
create index tagnotificationsuccess_notification_id on tagnotificationsuccess (notification_id);
create index tagnotificationsuccess_tag_id on tagnotificationsuccess (tag_id);

-- Banners for everybody.
create table messages (
    id            serial       not null,
    content       text         not null,
    uuid          varchar(36)  not null default '',
    media_type_id integer      not null default 1,
    severity      varchar(255) not null default 'info',
    constraint pk_messages primary key (id),
    constraint fk_messages_media_type_id_mediatype
        foreign key (media_type_id) references mediatype (id)
);
create index messages_uuid on messages (uuid);
create index messages_media_type_id on messages (media_type_id);
create index messages_severity on messages (severity);
