-- Takes back 0002_repositories.up.sql: the tables go with everything in them.
-- The extension pg_trgm stays: it may have been there before us.

drop table repositoryauthorizedemail;
drop table repositorysearchscore;
drop table repositoryactioncount;
drop table star;
drop table deletedrepository;
drop table permissionprototype;
drop table repositorypermission;
drop table role;
drop table repository;
drop table repositorykind;
drop table visibility;
