-- Takes back 0013_releases.up.sql: the tables go with everything in them.

drop table quayrelease;
drop table quayservice;
drop table quayregion;
