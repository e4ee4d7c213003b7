-- Which version of which service runs in which region: written at deployments.

create table quayregion (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_quayregion primary key (id)
);
create unique index quayregion_name on quayregion (name);

create table quayservice (
    id   serial       not null,
    name varchar(255) not null,
    constraint pk_quayservice primary key (id)
);
create unique index quayservice_name on quayservice (name);

create table quayrelease (
    id         serial       not null,
    service_id integer      not null,
    version    varchar(255) not null,
    region_id  integer      not null,
    reverted   boolean      not null,
    created    timestamp    not null,
    constraint pk_quayrelease primary key (id),
    constraint fk_quayrelease_region_id_quayregion
        foreign key (region_id) references quayregion (id),
    constraint fk_quayrelease_service_id_quayservice
        foreign key (service_id) references quayservice (id)
);
create unique index quayrelease_service_id_version_region_id
    on quayrelease (service_id, version, region_id);
create index quayrelease_service_id on quayrelease (service_id);
create index quayrelease_service_id_region_id_created
    on quayrelease (service_id, region_id, created);
create index quayrelease_region_id on quayrelease (region_id);
create index quayrelease_created on quayrelease (created);
