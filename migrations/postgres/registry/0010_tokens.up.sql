-- Tokens of programs: access tokens, application passwords, OAuth, and the keys of services.

create table accesstokenkind (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_accesstokenkind primary key (id)
);
create unique index accesstokenkind_name on accesstokenkind (name);
insert into accesstokenkind (name) values ('build-worker'), ('pushpull-token');

create table accesstoken (
    id            serial       not null,
    friendly_name varchar(255),
    repository_id integer      not null,
    created       timestamp    not null,
    role_id       integer      not null,
    temporary     boolean      not null,
    kind_id       integer,
    token_code    varchar(255) not null,
    token_name    varchar(255) not null,
    constraint pk_accesstoken primary key (id),
    constraint fk_accesstoken_kind_id_accesstokenkind
        foreign key (kind_id) references accesstokenkind (id),
    constraint fk_accesstoken_repository_id_repository
        foreign key (repository_id) references repository (id),
    constraint fk_accesstoken_role_id_role
        foreign key (role_id) references role (id)
);
create unique index accesstoken_token_name on accesstoken (token_name);
create index accesstoken_repository_id on accesstoken (repository_id);
create index accesstoken_role_id on accesstoken (role_id);
create index accesstoken_kind_id on accesstoken (kind_id);

create table appspecificauthtoken (
    id            serial       not null,
    user_id       integer      not null,
    uuid          varchar(36)  not null,
    title         varchar(255) not null,
    created       timestamp    not null,
    expiration    timestamp,
    last_accessed timestamp,
    token_name    varchar(255) not null,
    token_secret  varchar(255) not null,
    constraint pk_appspecificauthtoken primary key (id),
    constraint fk_appspecificauthtoken_user_id_user
        foreign key (user_id) references "user" (id)
);
create unique index appspecificauthtoken_token_name on appspecificauthtoken (token_name);
create index appspecificauthtoken_user_id on appspecificauthtoken (user_id);
create index appspecificauthtoken_user_id_expiration on appspecificauthtoken (user_id, expiration);
create index appspecificauthtoken_uuid on appspecificauthtoken (uuid);

create table oauthapplication (
    id                   serial       not null,
    client_id            varchar(255) not null,
    redirect_uri         varchar(255) not null,
    application_uri      varchar(255) not null,
    organization_id      integer      not null,
    name                 varchar(255) not null,
    description          text         not null,
    gravatar_email       varchar(255),
    secure_client_secret varchar(255),
    fully_migrated       boolean      not null default false,
    constraint pk_oauthapplication primary key (id),
    constraint fk_oauthapplication_organization_id_user
        foreign key (organization_id) references "user" (id)
);
create index oauthapplication_client_id on oauthapplication (client_id);
create index oauthapplication_organization_id on oauthapplication (organization_id);

create table oauthauthorizationcode (
    id              serial       not null,
    application_id  integer      not null,
    scope           varchar(255) not null,
    data            text         not null,
    code_credential varchar(255) not null,
    code_name       varchar(255) not null,
    constraint pk_oauthauthorizationcode primary key (id),
    constraint fk_oauthauthorizationcode_application_id_oauthapplication
        foreign key (application_id) references oauthapplication (id)
);
create unique index oauthauthorizationcode_code_name on oauthauthorizationcode (code_name);
create index oauthauthorizationcode_application_id on oauthauthorizationcode (application_id);

create table oauthaccesstoken (
    id                 serial       not null,
    uuid               varchar(255) not null,
    application_id     integer      not null,
    authorized_user_id integer      not null,
    scope              varchar(255) not null,
    token_type         varchar(255) not null,
    expires_at         timestamp    not null,
    data               text         not null,
    token_code         varchar(255) not null,
    token_name         varchar(255) not null,
    last_accessed      timestamp,
    created            timestamp,
    display_name       varchar(255),
    constraint pk_oauthaccesstoken primary key (id),
    constraint fk_oauthaccesstoken_application_id_oauthapplication
        foreign key (application_id) references oauthapplication (id),
    constraint fk_oauthaccesstoken_authorized_user_id_user
        foreign key (authorized_user_id) references "user" (id)
);
create unique index oauthaccesstoken_token_name on oauthaccesstoken (token_name);
create index oauthaccesstoken_uuid on oauthaccesstoken (uuid);
create index oauthaccesstoken_application_id on oauthaccesstoken (application_id);
create index oauthaccesstoken_application_id_last_accessed
    on oauthaccesstoken (application_id, last_accessed);
create index oauthaccesstoken_authorized_user_id on oauthaccesstoken (authorized_user_id);

create table oauthassignedtoken (
    id               serial       not null,
    uuid             varchar(255) not null,
    assigned_user_id integer      not null,
    application_id   integer      not null,
    redirect_uri     varchar(255),
    scope            varchar(255) not null,
    response_type    varchar(255),
    constraint pk_oauthassignedtoken primary key (id),
    constraint fk_oauthassignedtoken_application_oauthapplication
        foreign key (application_id) references oauthapplication (id),
    constraint fk_oauthassignedtoken_assigned_user_user
        foreign key (assigned_user_id) references "user" (id)
);
create unique index oauthassignedtoken_uuid on oauthassignedtoken (uuid);
create index oauthassignedtoken_assigned_user on oauthassignedtoken (assigned_user_id);
create index oauthassignedtoken_application_id on oauthassignedtoken (application_id);

create table servicekeyapproval (
    id            serial       not null,
    approver_id   integer,
    approval_type varchar(255) not null,
    approved_date timestamp    not null,
    notes         text         not null,
    constraint pk_servicekeyapproval primary key (id)
);
create index servicekeyapproval_approver_id on servicekeyapproval (approver_id);
create index servicekeyapproval_approval_type on servicekeyapproval (approval_type);

create table servicekey (
    id                serial       not null,
    name              varchar(255) not null,
    kid               varchar(255) not null,
    service           varchar(255) not null,
    jwk               text         not null,
    metadata          text         not null,
    created_date      timestamp    not null,
    expiration_date   timestamp,
    rotation_duration integer,
    approval_id       integer,
    constraint pk_servicekey primary key (id),
    constraint fk_servicekey_approval_id_servicekeyapproval
        foreign key (approval_id) references servicekeyapproval (id)
);
create unique index servicekey_kid on servicekey (kid);
create index servicekey_service on servicekey (service);
create index servicekey_approval_id on servicekey (approval_id);
