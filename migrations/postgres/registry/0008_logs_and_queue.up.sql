-- The audit log in its three generations, and the queue of jobs that the web tier writes.

create table logentrykind (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_logentrykind primary key (id)
);
create unique index logentrykind_name on logentrykind (name);
insert into logentrykind (name) values
    ('account_change_cc'),
    ('account_change_password'),
    ('account_change_plan'),
    ('account_convert'),
    ('add_repo_accesstoken'),
    ('add_repo_notification'),
    ('add_repo_permission'),
    ('add_repo_webhook'),
    ('build_dockerfile'),
    ('change_repo_permission'),
    ('change_repo_visibility'),
    ('create_application'),
    ('create_prototype_permission'),
    ('create_repo'),
    ('create_robot'),
    ('create_tag'),
    ('delete_application'),
    ('delete_prototype_permission'),
    ('delete_repo'),
    ('delete_repo_accesstoken'),
    ('delete_repo_notification'),
    ('delete_repo_permission'),
    ('delete_repo_trigger'),
    ('delete_repo_webhook'),
    ('delete_robot'),
    ('delete_tag'),
    ('manifest_label_add'),
    ('manifest_label_delete'),
    ('modify_prototype_permission'),
    ('move_tag'),
    ('org_add_team_member'),
    ('org_create_team'),
    ('org_delete_team'),
    ('org_delete_team_member_invite'),
    ('org_invite_team_member'),
    ('org_remove_team_member'),
    ('org_set_team_description'),
    ('org_set_team_role'),
    ('org_team_member_invite_accepted'),
    ('org_team_member_invite_declined'),
    ('pull_repo'),
    ('push_repo'),
    ('regenerate_robot_token'),
    ('repo_verb'),
    ('reset_application_client_secret'),
    ('revert_tag'),
    ('service_key_approve'),
    ('service_key_create'),
    ('service_key_delete'),
    ('service_key_extend'),
    ('service_key_modify'),
    ('service_key_rotate'),
    ('setup_repo_trigger'),
    ('set_repo_description'),
    ('take_ownership'),
    ('update_application'),
    ('change_repo_trust'),
    ('reset_repo_notification'),
    ('change_tag_expiration'),
    ('create_app_specific_token'),
    ('revoke_app_specific_token'),
    ('toggle_repo_trigger'),
    ('repo_mirror_enabled'),
    ('repo_mirror_disabled'),
    ('repo_mirror_config_changed'),
    ('repo_mirror_sync_started'),
    ('repo_mirror_sync_failed'),
    ('repo_mirror_sync_success'),
    ('repo_mirror_sync_now_requested'),
    ('repo_mirror_sync_tag_success'),
    ('repo_mirror_sync_tag_failed'),
    ('repo_mirror_sync_test_success'),
    ('repo_mirror_sync_test_failed'),
    ('repo_mirror_sync_test_started'),
    ('change_repo_state'),
    ('create_proxy_cache_config'),
    ('delete_proxy_cache_config'),
    ('start_build_trigger'),
    ('cancel_build'),
    ('org_create'),
    ('org_delete'),
    ('org_change_email'),
    ('org_change_invoicing'),
    ('org_change_tag_expiration'),
    ('org_change_name'),
    ('user_create'),
    ('user_delete'),
    ('user_disable'),
    ('user_enable'),
    ('user_change_email'),
    ('user_change_password'),
    ('user_change_name'),
    ('user_change_invoicing'),
    ('user_change_tag_expiration'),
    ('user_change_metadata'),
    ('user_generate_client_key'),
    ('login_success'),
    ('logout_success'),
    ('permanently_delete_tag'),
    ('autoprune_tag_delete'),
    ('create_namespace_autoprune_policy'),
    ('update_namespace_autoprune_policy'),
    ('delete_namespace_autoprune_policy'),
    ('login_failure'),
    ('push_repo_failed'),
    ('pull_repo_failed'),
    ('delete_tag_failed'),
    ('create_repository_autoprune_policy'),
    ('update_repository_autoprune_policy'),
    ('delete_repository_autoprune_policy'),
    ('enable_team_sync'),
    ('disable_team_sync'),
    ('oauth_token_assigned'),
    ('oauth_token_revoked'),
    ('change_tag_immutability'),
    ('create_robot_federation'),
    ('delete_robot_federation'),
    ('federated_robot_token_exchange'),
    ('export_logs_success'),
    ('export_logs_failure'),
    ('org_create_quota'),
    ('org_change_quota'),
    ('org_delete_quota'),
    ('org_create_quota_limit'),
    ('org_change_quota_limit'),
    ('org_delete_quota_limit'),
    ('org_mirror_enabled'),
    ('org_mirror_disabled'),
    ('org_mirror_config_changed'),
    ('org_mirror_sync_started'),
    ('org_mirror_sync_failed'),
    ('org_mirror_sync_success'),
    ('org_mirror_sync_now_requested'),
    ('org_mirror_sync_cancelled'),
    ('org_mirror_repo_created'),
    ('create_immutability_policy'),
    ('update_immutability_policy'),
    ('delete_immutability_policy'),
    ('org_mirror_repo_creation_failed'),
    ('tag_made_immutable_by_policy'),
    ('tags_made_immutable_by_policy'),
    ('create_oauth_api_token'),
    ('revoke_oauth_api_token'),
    ('create_namespace_notification'),
    ('delete_namespace_notification'),
    ('reset_namespace_notification');

create table logentry (
    id            bigserial    not null,
    kind_id       integer      not null,
    account_id    integer      not null,
    performer_id  integer,
    repository_id integer,
    datetime      timestamp    not null,
    ip            varchar(255),
    metadata_json text         not null,
    constraint pk_logentry primary key (id),
    constraint fk_logentry_kind_id_logentrykind
        foreign key (kind_id) references logentrykind (id)
);
create index logentry_kind_id on logentry (kind_id);
create index logentry_account_id on logentry (account_id);
create index logentry_account_id_datetime on logentry (account_id, datetime);
create index logentry_performer_id on logentry (performer_id);
create index logentry_performer_id_datetime on logentry (performer_id, datetime);
create index logentry_repository_id on logentry (repository_id);
create index logentry_repository_id_datetime on logentry (repository_id, datetime);
create index logentry_repository_id_datetime_kind_id on logentry (repository_id, datetime, kind_id);
create index logentry_datetime on logentry (datetime);

create table logentry2 (
    id            serial       not null,
    kind_id       integer      not null,
    account_id    integer      not null,
    performer_id  integer,
    repository_id integer,
    datetime      timestamp    not null,
    ip            varchar(255),
    metadata_json text         not null,
    constraint pk_logentry2 primary key (id),
    constraint fk_logentry2_kind_id_logentrykind
        foreign key (kind_id) references logentrykind (id)
);
create index logentry2_kind_id on logentry2 (kind_id);
create index logentry2_account_id on logentry2 (account_id);
create index logentry2_account_id_datetime on logentry2 (account_id, datetime);
create index logentry2_performer_id on logentry2 (performer_id);
create index logentry2_performer_id_datetime on logentry2 (performer_id, datetime);
create index logentry2_repository_id on logentry2 (repository_id);
create index logentry2_repository_id_datetime on logentry2 (repository_id, datetime);
create index logentry2_repository_id_datetime_kind_id
    on logentry2 (repository_id, datetime, kind_id);
create index logentry2_datetime on logentry2 (datetime);

-- The only generation that is still written. Accounts, repositories and kinds are plain numbers here:
-- a log row outlives what it tells of.
create table logentry3 (
    id            bigserial    not null,
    kind_id       integer      not null,
    account_id    integer      not null,
    performer_id  integer,
    repository_id integer,
    datetime      timestamp    not null,
    ip            varchar(255),
    metadata_json text         not null,
    constraint pk_logentry3 primary key (id)
);
create index logentry3_account_id_datetime on logentry3 (account_id, datetime);
create index logentry3_performer_id_datetime on logentry3 (performer_id, datetime);
create index logentry3_repository_id_datetime_kind_id
    on logentry3 (repository_id, datetime, kind_id);
create index logentry3_datetime on logentry3 (datetime);

-- Claimed by compare and swap of `state_id`, which every update replaces.
create table queueitem (
    id                 serial        not null,
    queue_name         varchar(1024) not null,
    body               text          not null,
    available_after    timestamp     not null,
    available          boolean       not null,
    processing_expires timestamp,
    retries_remaining  integer       not null,
    state_id           varchar(255)  not null default '',
    constraint pk_queueitem primary key (id)
);
create unique index queueitem_state_id on queueitem (state_id);
create index queueitem_queue_name on queueitem (queue_name);
create index queueitem_processing_expires_queue_name_available
    on queueitem (processing_expires, queue_name, available);
create index queueitem_pe_aafter_qname_rremaining_available
    on queueitem (processing_expires, available_after, queue_name, retries_remaining, available);
create index queueitem_pexpires_aafter_rremaining_available
    on queueitem (processing_expires, available_after, retries_remaining, available);
create index queueitem_processing_expires_available on queueitem (processing_expires, available);
