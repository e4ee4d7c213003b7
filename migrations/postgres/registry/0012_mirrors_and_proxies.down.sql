-- Takes back 0012_mirrors_and_proxies.up.sql: the tables go with everything in them.

drop table proxycacheconfig;
drop table orgmirrorrepository;
drop table orgmirrorconfig;
drop table repomirrorconfig;
drop table repomirrorrule;
