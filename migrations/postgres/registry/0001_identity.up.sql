-- Who there is: users, organizations, robots and teams, and how they sign in.
--
-- All tables of this set are those of a Quay database at revision 9fa37f66a9b6: the same names, types,
-- defaults, keys and indexes, and in the tables of fixed names the same rows. The ids of those rows
-- follow from their order, which must not change.

-- Users, organizations and robots are all rows of this table. A robot is called `owner+short`.
-- `removed_tag_expiration_s` is how long a deleted tag of this namespace can still be restored.
create table "user" (
    id                          serial       not null,
    uuid                        varchar(36),
    username                    varchar(255) not null,
    password_hash               varchar(255),
    email                       varchar(255) not null,
    verified                    boolean      not null,
    stripe_id                   varchar(255),
    organization                boolean      not null,
    robot                       boolean      not null,
    invoice_email               boolean      not null,
    invalid_login_attempts      integer      not null default 0,
    last_invalid_login          timestamp    not null,
    removed_tag_expiration_s    bigint       not null default 1209600,
    enabled                     boolean      not null default true,
    invoice_email_address       varchar(255),
    company                     varchar(255),
    family_name                 varchar(255),
    given_name                  varchar(255),
    location                    varchar(255),
    maximum_queued_builds_count integer,
    creation_date               timestamp,
    last_accessed               timestamp,
    constraint pk_user primary key (id)
);
create unique index user_username on "user" (username);
create unique index user_email_unique_non_org on "user" (email) where organization = false;
create index user_uuid on "user" (uuid);
create index user_email_idx on "user" (email);
create index user_stripe_id on "user" (stripe_id);
create index user_organization on "user" (organization);
create index user_robot on "user" (robot);
create index user_invoice_email_address on "user" (invoice_email_address);
create index user_last_accessed on "user" (last_accessed);

-- Where a user may come from besides the password.
create table loginservice (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_loginservice primary key (id)
);
create unique index loginservice_name on loginservice (name);
insert into loginservice (name) values
    ('github'),
    ('quayrobot'),
    ('ldap'),
    ('google'),
    ('keystone'),
    ('dex'),
    ('jwtauthn'),
    ('oidc');

create table federatedlogin (
    id            serial       not null,
    user_id       integer      not null,
    service_id    integer      not null,
    service_ident varchar(255) not null,
    metadata_json text         not null,
    constraint pk_federatedlogin primary key (id),
    constraint fk_federatedlogin_service_id_loginservice
        foreign key (service_id) references loginservice (id),
    constraint fk_federatedlogin_user_id_user
        foreign key (user_id) references "user" (id)
);
create unique index federatedlogin_service_id_user_id on federatedlogin (service_id, user_id);
create unique index federatedlogin_service_id_service_ident
    on federatedlogin (service_id, service_ident);
create index federatedlogin_user_id on federatedlogin (user_id);
create index federatedlogin_service_id on federatedlogin (service_id);

create table robotaccounttoken (
    id               serial       not null,
    robot_account_id integer      not null,
    token            varchar(255) not null,
    fully_migrated   boolean      not null default false,
    constraint pk_robotaccounttoken primary key (id),
    constraint fk_robotaccounttoken_robot_account_id_user
        foreign key (robot_account_id) references "user" (id)
);
create unique index robotaccounttoken_robot_account_id on robotaccounttoken (robot_account_id);

create table robotaccountmetadata (
    id                serial       not null,
    robot_account_id  integer      not null,
    description       varchar(255) not null,
    unstructured_json text         not null,
    constraint pk_robotaccountmetadata primary key (id),
    constraint fk_robotaccountmetadata_robot_account_id_user
        foreign key (robot_account_id) references "user" (id)
);
create unique index robotaccountmetadata_robot_account_id
    on robotaccountmetadata (robot_account_id);

create table emailconfirmation (
    id                serial       not null,
    code              varchar(255) not null,
    user_id           integer      not null,
    pw_reset          boolean      not null,
    new_email         varchar(255),
    email_confirm     boolean      not null,
    created           timestamp    not null,
    verification_code varchar(255),
    constraint pk_emailconfirmation primary key (id),
    constraint fk_emailconfirmation_user_id_user
        foreign key (user_id) references "user" (id)
);
create unique index emailconfirmation_code on emailconfirmation (code);
create index emailconfirmation_user_id on emailconfirmation (user_id);

create table userpromptkind (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_userpromptkind primary key (id)
);
create index userpromptkind_name on userpromptkind (name);
insert into userpromptkind (name) values ('confirm_username'), ('enter_name'), ('enter_company');

-- What a user is still to be asked at the next sign-in.
create table userprompt (
    id      serial  not null,
    user_id integer not null,
    kind_id integer not null,
    constraint pk_userprompt primary key (id),
    constraint fk_userprompt_kind_id_userpromptkind
        foreign key (kind_id) references userpromptkind (id),
    constraint fk_userprompt_user_id_user
        foreign key (user_id) references "user" (id)
);
create unique index userprompt_user_id_kind_id on userprompt (user_id, kind_id);
create index userprompt_user_id on userprompt (user_id);
create index userprompt_kind_id on userprompt (kind_id);

create table teamrole (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_teamrole primary key (id)
);
create index teamrole_name on teamrole (name);
insert into teamrole (name) values ('admin'), ('creator'), ('member');

create table team (
    id              serial       not null,
    name            varchar(255) not null,
    organization_id integer      not null,
    role_id         integer      not null,
    description     text         not null,
    constraint pk_team primary key (id),
    constraint fk_team_organization_id_user
        foreign key (organization_id) references "user" (id),
    constraint fk_team_role_id_teamrole
        foreign key (role_id) references teamrole (id)
);
create unique index team_name_organization_id on team (name, organization_id);
create index team_name on team (name);
create index team_organization_id on team (organization_id);
create index team_role_id on team (role_id);

create table teammember (
    id      serial  not null,
    user_id integer not null,
    team_id integer not null,
    constraint pk_teammember primary key (id),
    constraint fk_teammember_team_id_team
        foreign key (team_id) references team (id),
    constraint fk_teammember_user_id_user
        foreign key (user_id) references "user" (id)
);
create unique index teammember_user_id_team_id on teammember (user_id, team_id);
create index teammember_user_id on teammember (user_id);
create index teammember_team_id on teammember (team_id);

create table teammemberinvite (
    id           serial       not null,
    user_id      integer,
    email        varchar(255),
    team_id      integer      not null,
    inviter_id   integer      not null,
    invite_token varchar(255) not null,
    constraint pk_teammemberinvite primary key (id),
    constraint fk_teammemberinvite_inviter_id_user
        foreign key (inviter_id) references "user" (id),
    constraint fk_teammemberinvite_team_id_team
        foreign key (team_id) references team (id),
    constraint fk_teammemberinvite_user_id_user
        foreign key (user_id) references "user" (id)
);
create index teammemberinvite_user_id on teammemberinvite (user_id);
create index teammemberinvite_team_id on teammemberinvite (team_id);
create index teammemberinvite_inviter_id on teammemberinvite (inviter_id);

-- Teams whose members come from a directory.
create table teamsync (
    id             serial       not null,
    team_id        integer      not null,
    transaction_id varchar(255) not null,
    last_updated   timestamp,
    service_id     integer      not null,
    config         text         not null,
    constraint pk_teamsync primary key (id),
    constraint fk_teamsync_service_id_loginservice
        foreign key (service_id) references loginservice (id),
    constraint fk_teamsync_team_id_team
        foreign key (team_id) references team (id)
);
create unique index teamsync_team_id on teamsync (team_id);
create index teamsync_last_updated on teamsync (last_updated);
create index teamsync_service_id on teamsync (service_id);

-- Namespaces marked for deletion; the row in `user` carries a random name until it goes.
create table deletednamespace (
    id                serial       not null,
    namespace_id      integer      not null,
    marked            timestamp    not null,
    original_username varchar(255) not null,
    original_email    varchar(255) not null,
    queue_id          varchar(255),
    constraint pk_deletednamespace primary key (id),
    constraint fk_deletednamespace_namespace_id_user
        foreign key (namespace_id) references "user" (id)
);
create unique index deletednamespace_namespace_id on deletednamespace (namespace_id);
create index deletednamespace_original_username on deletednamespace (original_username);
create index deletednamespace_original_email on deletednamespace (original_email);
create index deletednamespace_queue_id on deletednamespace (queue_id);

create table organizationcontactemail (
    id              serial       not null,
    organization_id integer      not null,
    contact_email   varchar(255),
    constraint pk_organizationcontactemail primary key (id),
    constraint fk_organizationcontactemail_organization_id_user
        foreign key (organization_id) references "user" (id)
);
create unique index organizationcontactemail_organization_id
    on organizationcontactemail (organization_id);
create index organizationcontactemail_contact_email on organizationcontactemail (contact_email);

create table organizationrhskus (
    id              serial  not null,
    subscription_id integer not null,
    org_id          integer not null,
    user_id         integer not null,
    quantity        integer,
    constraint pk_organizationrhskus primary key (id),
    constraint fk_organizationrhskus_orgid
        foreign key (org_id) references "user" (id),
    constraint fk_organizationrhskus_userid
        foreign key (user_id) references "user" (id)
);
create unique index organizationrhskus_subscription_id_org_id
    on organizationrhskus (subscription_id, org_id);
create unique index organizationrhskus_subscription_id_org_id_user_id
    on organizationrhskus (subscription_id, org_id, user_id);
create index organizationrhskus_subscription_id on organizationrhskus (subscription_id);

create table redhatsubscriptions (
    id             serial  not null,
    user_id        integer not null,
    account_number integer not null,
    constraint pk_redhatsubscriptions primary key (id),
    constraint fk_redhatsubscriptions
        foreign key (user_id) references "user" (id)
);
