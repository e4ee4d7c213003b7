-- Effective roles, computed from the registry's own grants; every row can be computed again.

-- The highest role that a user has on a repository by name or through a team.
create table quayhand_permission (
    user_id       bigint   not null,
    repository_id bigint   not null,
    -- 1 read, 2 write, 3 admin
    role          smallint not null,
    constraint quayhand_permission_pk primary key (user_id, repository_id),
    constraint quayhand_permission_role check (role in (1, 2, 3))
);
create index quayhand_permission_repository_id on quayhand_permission (repository_id);

-- The highest role that a user has in a whole namespace; a row a repository and administrator would
-- be too many.
create table quayhand_namespace_permission (
    user_id      bigint   not null,
    namespace_id bigint   not null,
    -- 1 may create repositories, 3 admin: the owner, or a member of a team of administrators
    role         smallint not null,
    constraint quayhand_namespace_permission_pk primary key (user_id, namespace_id),
    constraint quayhand_namespace_permission_role check (role in (1, 3))
);
create index quayhand_namespace_permission_namespace_id
    on quayhand_namespace_permission (namespace_id);
