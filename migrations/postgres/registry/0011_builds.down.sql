-- Takes back 0011_builds.up.sql: the tables go with everything in them.

drop table repositorybuild;
drop table repositorybuildtrigger;
drop table disablereason;
drop table buildtriggerservice;
